"""From a quiet trouble to an alert and back: nothing has died, or nobody has noticed yet.

Many troubles at once, for most of the time is spent waiting: for how long each must last, and for
what Alertmanager gathers. As in test_alerting.py all programs but Slack are real. The sweeper's and
the laws' patience are cut, so that drift shows sooner.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from alerting import fired, held_down, hurry, now, over, told, watched_by
from engines import ask_redis
from slack import Slack
from troubles import (
    blinking,
    held_relays,
    held_row,
    little_memory,
    long_transaction,
    lost_slot,
    refusing_database,
    session,
    visitors,
)

from firstcome.bench.stack import RunningStack
from firstcome.drill.poison import Poison
from firstcome.drill.processes import Processes

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

STANDING = {"SweeperGone", "RelayGone", "GateClosed", "RecorderStopped", "SlotLost"}
STANDING |= {"DeadLettersOpen", "TransactionLong", "RedisMemoryHigh"}
CREEPING = {"DriftLost", "DriftLeaked", "DriftUnannounced", "ClaimsStuck", "OutboxOld"}
SLOW = {"ClaimsSlow", "CommitsSlow", "IssuanceSlow", "LoopPauses"}
IMPATIENT = {
    "FIRSTCOME_SWEEPER__RECONCILE_SECONDS": "3",
    "FIRSTCOME_LAWS__GRACE_SECONDS": "20",
}


@pytest.fixture(scope="module")
def watched(
    slack: Slack, scaled: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """A stack that is soon sure of a drift."""
    state = tmp_path_factory.mktemp("quiet") / "stack"
    with watched_by(slack, state, **scaled, **IMPATIENT) as running:
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


def test_what_creeps_and_what_is_slow_is_seen(watched: RunningStack, slack: Slack) -> None:
    drifting, slow = watched.create(10), watched.create(100_000)
    faults, began = Processes(watched), now()
    # From here on only: claims of the test before wait too, and what is told once is not repeated.
    hurry(watched, {"IssuanceSlow": {"for: 2m": "for: 15s"}})
    with ExitStack() as troubles:
        troubles.enter_context(held_relays(watched))
        plant_drift(watched, drifting)
        for trouble in (
            visitors(watched, slow),
            held_row(watched, slow, 2.6),
            blinking(faults, "kafka-1", 0.9, 0.4),
            blinking(faults, "api-1", 0.35, 0.5),
        ):
            troubles.enter_context(trouble)
        fired(watched, CREEPING | SLOW)
        told(watched, slack, CREEPING | SLOW, began, all_fire=False)
    mend_drift(watched, drifting)
    over(watched, slack, CREEPING | SLOW, began)


def test_end_of_all_of_it_is_told(watched: RunningStack, slack: Slack) -> None:
    over(watched, slack, STANDING, 0.0)


def plant_drift(stack: RunningStack, campaign_id: int) -> None:
    """Lose a place, make up a unit, and keep a coupon from ever being told."""
    assert stack.claim(campaign_id, "ann").status == 202
    assert stack.standing(campaign_id, "ann").json["status"] == "ISSUED"
    ask_redis(stack, "HINCRBY", f"fc:{{{campaign_id}}}:gate", "position_last", "1")
    with session(stack) as connection:
        change = "UPDATE campaigns SET stock = stock - 1 WHERE campaign_id = %s"
        connection.execute(change, [campaign_id])
        gone = connection.execute("DELETE FROM outbox WHERE campaign_id = %s", [campaign_id])
        assert gone.rowcount == 1


def mend_drift(stack: RunningStack, campaign_id: int) -> None:
    """Do what the runbooks say."""
    with session(stack) as connection:
        change = "UPDATE campaigns SET stock = stock + 1 WHERE campaign_id = %s"
        connection.execute(change, [campaign_id])
    stack.run("rebuild", str(campaign_id))
    stack.run("events", "replay", str(campaign_id), "--missing")
