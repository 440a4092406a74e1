"""From a quiet trouble to an alert and back: nothing has died, or nobody has noticed yet.

Many troubles at once, for most of the time is spent waiting: for how long each must last, and for
what Alertmanager gathers. As in test_alerting.py all programs but Slack are real. The
sweeper's patience is cut.
"""

from collections.abc import Iterator

import pytest
from alerting import held_down, now, over, told, watched_by
from engines import ask_redis
from slack import Slack
from troubles import (
    little_memory,
    long_transaction,
    lost_slot,
    refusing_database,
)

from firstcome.bench.stack import RunningStack
from firstcome.drill.poison import Poison
from firstcome.drill.processes import Processes

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

STANDING = {"SweeperGone", "RelayGone", "GateClosed", "RecorderStopped", "SlotLost"}
STANDING |= {"DeadLettersOpen", "TransactionLong", "RedisMemoryHigh"}


@pytest.fixture(scope="module")
def watched(
    slack: Slack, scaled: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """A stack whose sweeper is soon there."""
    state = tmp_path_factory.mktemp("quiet") / "stack"
    with watched_by(slack, state, **scaled) as running:
        yield running


def test_what_stands_is_told_until_its_runbook_is_followed(
    watched: RunningStack, slack: Slack
) -> None:
    crowded, closed = watched.create(1000), watched.create(10)
    faults, began = Processes(watched), now()
    poison = Poison(watched, [b"\xff\x00"])
    poison.inject()
    poison.heal()
    with lost_slot(watched), held_down(faults, ["sweeper-1", "relay-1"]):
        with (
            refusing_database(watched, faults, crowded),
            long_transaction(watched),
            little_memory(watched),
        ):
            ask_redis(watched, "UNLINK", f"fc:{{{closed}}}:gate")
            told(watched, slack, STANDING, began, all_fire=True)
        # A recorder finds few of them in its first look, if it is unlucky.
        watched.run("dead-letters", "redrive", "--reason", "REJECTED", exit_code=None)
    assert watched.said("dead-letters", "discard", "--reason", "UNDECODABLE")
    assert watched.standing(crowded, "refused-0").json["status"] == "ISSUED"


def test_end_of_all_of_it_is_told(watched: RunningStack, slack: Slack) -> None:
    over(watched, slack, STANDING, 0.0)
