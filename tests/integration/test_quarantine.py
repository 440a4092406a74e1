"""When a recorder gives a claim up, how often it tries before, and what it never sets aside."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from firstcome import postgres
from firstcome.issuance.recorder import Recorder
from firstcome.settings import RecorderSettings
from tests.integration.claimed import batch, dead_letters, numbers_of, open_campaign, rows
from tests.integration.letters_stage import POISON

pytestmark = pytest.mark.integration

Connect = Callable[[], postgres.Connection]


@pytest.fixture
def recorder(connect: Connect) -> Iterator[Recorder]:
    """A recorder with default settings that does not pause between tries."""
    with closing(Recorder(connect, RecorderSettings(), pause=lambda _: None)) as made:
        yield made


@pytest.mark.parametrize("attempts_max", [1, 3, 5])
def test_recorder_tries_a_refused_claim_that_is_alone_with_growing_pauses(
    connect: Connect, connection: postgres.Connection, attempts_max: int
) -> None:
    campaign_id = open_campaign(connection)
    connection.execute(POISON)
    pauses: list[float] = []
    settings = RecorderSettings(attempts_max=attempts_max)
    with closing(Recorder(connect, settings, pause=pauses.append)) as recorder:
        recorded = recorder.record([batch(campaign_id, 1, ["poison"], offset=4)])
        after = recorder.record([batch(campaign_id, 2, ["a"])])
    assert (recorded.issued, recorded.quarantined, after.issued) == (0, 1, 1)
    assert pauses == [0.01, 0.02, 0.04, 0.08][: attempts_max - 1]
    assert rows(connection, campaign_id)[0] == (1, "poison", "UNDER_REVIEW")
    assert dead_letters(connection) == [("REJECTED", 1, "poison", 4)]
    assert connection.execute("SELECT attempts FROM dead_letters").fetchone() == (attempts_max,)


def test_recorder_does_not_try_again_what_cannot_heal(
    connect: Connect, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection, stock=1)
    refuse = lambda _: pytest.fail("it paused")  # noqa: E731
    with closing(Recorder(connect, RecorderSettings(), pause=refuse)) as recorder:
        assert recorder.record([batch(campaign_id, 2, ["a"])]).dead_lettered == 1
    assert connection.execute("SELECT attempts FROM dead_letters").fetchone() == (1,)


def test_recorder_gives_a_refused_place_up_when_its_user_is_in_already(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    recorder.record([batch(campaign_id, 1, ["a"])])
    recorded = recorder.record([batch(campaign_id, 2, ["a"], requested_at=1e300)])
    assert (recorded.cancelled, recorded.dead_lettered, recorded.quarantined) == (1, 0, 0)
    assert rows(connection, campaign_id) == [(1, "a", "ISSUED"), (2, "a", "CANCELLED")]
    assert numbers_of(connection, campaign_id) == (1001, 2)
    assert dead_letters(connection) == []
