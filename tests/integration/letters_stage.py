"""Claims that were set aside: how they come to be, and what everybody then sees of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from firstcome import failpoints
from firstcome.errors import LogUnavailable
from firstcome.gate.session import GateSession
from firstcome.issuance.batch import Batch
from firstcome.issuance.dead_letters import DeadLetters
from firstcome.issuance.sweeper import settle
from firstcome.issuance.transaction import Recorded
from firstcome.laws import Laws
from firstcome.model import CampaignId
from tests.integration.claimed import batch
from tests.integration.recovery_stage import Recovery

REQUESTED_AT = 1_795_000_000.5  # as Recovery.admit
POISON = (
    "ALTER TABLE issuances ADD CONSTRAINT poison "
    "CHECK (status <> 'ISSUED' OR user_id NOT LIKE 'poison%') NOT VALID"
)
ME = "me"


class Seen(NamedTuple):
    """Everything of a campaign that a decision may change."""

    rows: dict[int, tuple[str | None, str]]
    limit: int
    listed: list[int]  # in the outbox
    letters: list[tuple[Any, ...]]  # state, reason
    audited: list[str]


def letters_of(drop: Recovery) -> DeadLetters:
    """Return the operators' commands."""
    return DeadLetters(drop.connect, lambda: GateSession.open(drop.settings.redis))


def recorded(drop: Recovery, *batches: Batch) -> Recorded:
    """Record as a recorder process: rows, then settled bits."""
    done = drop.recorder().record(batches)
    settle(drop.session, done)
    return done


def claimed(drop: Recovery, number: CampaignId, *users: str, attempt: int = 0) -> Batch:
    """Admit users at the gate, and return their batch as the log brings it."""
    first = drop.admit(number, *users, attempt=attempt)[0] // 32
    attempts = [attempt] * len(users) if attempt else []
    epoch = drop.campaign(number).epoch
    return batch(number, first, users, epoch=epoch, attempts=attempts, requested_at=REQUESTED_AT)


def poisoned(drop: Recovery, *users: str, limit: int = 1000) -> CampaignId:
    """Make a campaign that refused claims between ann's and bob's, then mend the cause."""
    number = drop.open_campaign(limit=limit)
    refuse(drop)
    refused = users or ("poison",)
    done = recorded(drop, claimed(drop, number, "ann", *refused, "bob", attempt=7))
    assert (done.issued, done.quarantined) == (2, len(refused))
    mend(drop)
    return number


def refuse(drop: Recovery) -> None:
    """Let the database refuse users whose name begins with poison."""
    drop.database.execute(POISON)


def mend(drop: Recovery) -> None:
    """Let it take them."""
    drop.database.execute("ALTER TABLE issuances DROP CONSTRAINT poison")


def ids(drop: Recovery) -> list[int]:
    """Return the number of every letter."""
    found = drop.database.execute("SELECT dead_letter_id FROM dead_letters ORDER BY 1")
    return [number for (number,) in found]


def seen(drop: Recovery, number: CampaignId) -> Seen:
    """Look at all of it."""
    campaign = drop.campaign(number)
    listed = drop.database.execute(
        "SELECT generate_series(lower(r), upper(r) - 1) FROM outbox, unnest(positions) AS r"
        " WHERE campaign_id = %s ORDER BY 1",
        (number,),
    )
    letters = drop.database.execute("SELECT state, reason FROM dead_letters ORDER BY 1, 2")
    audited = drop.database.execute("SELECT actor || ' ' || action FROM audit ORDER BY audit_id")
    return Seen(
        drop.rows(number),
        campaign.position_limit,
        [position for (position,) in listed],
        letters.fetchall(),
        [said for (said,) in audited],
    )


def mirrored(drop: Recovery) -> None:
    """Let a sweeper bring the gates up to the database."""
    sweeper = drop.sweeper()
    sweeper.run_once()
    sweeper.close()


def assert_laws_hold(drop: Recovery, number: CampaignId) -> None:
    """See that `firstcome verify` is content with the campaign."""
    deadline = time.monotonic() + 20
    while True:
        try:
            laws = Laws(drop.settings).check([number])
        except LogUnavailable:
            # Brokers agree on the leaders of a topic a moment after it was made.
            assert time.monotonic() < deadline
            continue
        assert [violation for law in laws for violation in law.violations] == []
        return


@contextmanager
def at(points: dict[str, Callable[[], object]]) -> Iterator[list[str]]:
    """Do something when this process comes by a failpoint; yields the points that it came by."""
    came_by: list[str] = []
    original = failpoints.hit

    def hit(point: str, *, lost: Exception) -> None:
        if point in points and point not in came_by:
            came_by.append(point)
            points[point]()
        original(point, lost=lost)

    failpoints.hit = hit
    try:
        yield came_by
    finally:
        failpoints.hit = original


def outcomes(decisions: Sequence[Any]) -> list[str]:
    """Return the outcome of each."""
    return [str(decision.outcome) for decision in decisions]
