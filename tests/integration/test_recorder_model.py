"""The recorder beside a model of ten lines: any batches, in any order, any number of times."""

from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstcome import postgres
from firstcome.issuance.cancellation import Cancellation, Reason, cancel
from firstcome.issuance.recorder import Recorder
from firstcome.settings import RecorderSettings
from tests.integration.claimed import (
    announced,
    batch,
    end_epoch,
    numbers_of,
    open_campaign,
    rows,
)

pytestmark = pytest.mark.integration

STOCK, FENCE = 30, 12
EXAMPLES = 40  # some seconds; a change of the recorder deserves a thousand once
USERS = st.sampled_from("abcdefgh")
BATCH = st.tuples(st.integers(1, 34), st.lists(USERS, min_size=1, max_size=6), st.integers(1, 3))
STEP = st.one_of(
    st.lists(BATCH, min_size=1, max_size=4),
    st.tuples(st.integers(1, STOCK), USERS, st.integers(1, 2)),
)


class Model:
    """What is at each position, by the rules alone; epoch 1 ended at FENCE, epoch 2 lasts."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[str, str]] = {}
        self.limit = STOCK
        self.cancels = 0

    def holds(self, user: str) -> bool:
        """Return whether the user has a live row."""
        return any(row == (user, "ISSUED") for row in self.rows.values())

    def record(self, claims: list[tuple[int, int, str]]) -> None:
        """Take (position, epoch, user) in the order of positions; give places up at the end."""
        twice: dict[int, str] = {}
        for position, epoch, user in claims:
            if epoch == 3 or (epoch == 1 and position > FENCE) or position in self.rows:
                continue
            if self.holds(user):
                twice.setdefault(position, user)
            elif position <= self.limit:
                self.rows[position] = (user, "ISSUED")
        for position, user in twice.items():
            self.give_up(position, user)

    def give_up(self, position: int, user: str) -> None:
        """Cancel by insert."""
        if position not in self.rows:
            self.rows[position] = (user, "CANCELLED")
            self.limit += 1


def is_plain(claims: list[tuple[int, int, str]], limit: int) -> bool:
    """Return whether a call needs no bisection and no position or place is claimed in two ways.

    Elsewhere the outcome depends on the order of the halves, which the rules leave open.
    """
    positions: dict[int, tuple[int, str]] = {}
    for position, epoch, user in claims:
        if position > limit or positions.setdefault(position, (epoch, user)) != (epoch, user):
            return False
    return not any(epoch == 1 and position <= FENCE for position, epoch, _ in claims)


@given(steps=st.lists(STEP, min_size=1, max_size=8))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_recorder_agrees_with_the_model(
    connect: Callable[[], postgres.Connection], connection: postgres.Connection, steps: list[object]
) -> None:
    campaign_id = open_campaign(connection, stock=STOCK)
    end_epoch(connection, campaign_id, 1, last=FENCE)
    # As a rebuild leaves it: every position of the ended epoch has a row.
    model = Model()
    for position in range(1, FENCE + 1):
        user = f"z{position}"
        model.rows[position] = (user, "ISSUED")
        connection.execute(
            "INSERT INTO issuances (campaign_id, position, epoch, status, user_id) "
            "VALUES (%s, %s, 1, 'ISSUED', %s)",
            (campaign_id, position, user),
        )
    with closing(Recorder(connect, RecorderSettings())) as recorder:
        for step in steps:
            if isinstance(step, tuple):
                position, user, epoch = step
                with postgres.transaction(connection):
                    cancel(
                        connection,
                        Cancellation(campaign_id, epoch, [position], [user], Reason.NOT_APPENDED),
                    )
                if epoch == 2:
                    model.give_up(position, user)
                continue
            assert isinstance(step, list)
            claims = sorted(
                (first + index, epoch, user)
                for first, users, epoch in step
                for index, user in enumerate(users)
            )
            if not is_plain(claims, model.limit):
                continue
            batches = [batch(campaign_id, first, users, epoch=e) for first, users, e in step]
            recorded = recorder.record(batches)
            model.record(claims)
            again = recorder.record(batches)
            assert (again.issued, again.cancelled) == (0, 0)
            counted = recorded.issued + recorded.replayed + recorded.cancelled
            counted += recorded.fenced + recorded.dead_lettered + recorded.quarantined
            assert counted == len(claims)
    expected = [(position, *row) for position, row in sorted(model.rows.items())]
    assert rows(connection, campaign_id) == expected
    assert numbers_of(connection, campaign_id)[0] == model.limit
    issued = [position for position, _, status in expected if status == "ISSUED"]
    assert announced(connection, campaign_id) == [n for n in issued if n > FENCE]


@given(steps=st.lists(st.lists(BATCH, min_size=1, max_size=4), min_size=1, max_size=6))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_recorder_keeps_the_laws_whatever_it_is_given(
    connect: Callable[[], postgres.Connection], connection: postgres.Connection, steps: list[object]
) -> None:
    campaign_id = open_campaign(connection, stock=STOCK)
    end_epoch(connection, campaign_id, 1, last=FENCE)
    with closing(Recorder(connect, RecorderSettings(), pause=lambda _: None)) as recorder:
        for step in steps:
            assert isinstance(step, list)
            batches = [
                batch(campaign_id, first, users, epoch=epoch, offset=first)
                for first, users, epoch in step
            ]
            recorded = recorder.record(batches)
            again = recorder.record(batches)
            # What was beyond the limit may be within it once a place was given up.
            if recorded.dead_lettered == 0:
                assert again.issued == again.cancelled == again.quarantined == 0
            settled = recorded.settled.coalesced()
            for (_, _epoch), ranges in settled.items():
                codes = {1: "ISSUED", 2: "UNDER_REVIEW", 3: "CANCELLED"}
                now = {position: status for position, _, status in rows(connection, campaign_id)}
                for first, last, code in ranges:
                    assert {now[n] for n in range(first, last + 1)} == {codes[code]}
    found = rows(connection, campaign_id)
    live = [user for _, user, status in found if status != "CANCELLED"]
    cancelled = len(found) - len(live)
    limit, _ = numbers_of(connection, campaign_id)
    assert len(live) == len(set(live)) <= STOCK
    assert limit == STOCK + cancelled
    assert all(position <= limit for position, _, _ in found)
    issued = [position for position, _, status in found if status == "ISSUED"]
    assert announced(connection, campaign_id) == issued
