"""From what falls behind or runs out to an alert and back: lag, log, disks, memory, a sweeper.

A stack whose relay reads PostgreSQL's log, on a small disk, its Redis on one of its own. Many
troubles at once, as in test_alerting_quiet.py. Some thresholds are cut, for a small crowd and for
little time; what is read, judged, sent and heard is real.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from alerting import hurry, now, over, told, watched_by
from disk import Disk
from slack import Slack
from troubles import (
    collecting,
    dropped_slot,
    growing_file,
    held_rows,
    unknown_state,
    unread_log,
    visitors,
)

from firstcome.bench.stack import RunningStack
from firstcome.drill.processes import Processes

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

DISK_MEGABYTES, REDIS_MEGABYTES = 700, 64
BEHIND = {"LagLarge", "SweeperLate", "SlotRetention", "DiskFilling", "CollectorPauses"}
SPENT = {"SamplerStale", "RedisNotPersisting", "DiskAlmostFull"}
HURRIED = {
    # Later than LagLarge, which it holds back.
    "LagOld": {"firstcome_lag_seconds) > 15": "firstcome_lag_seconds) > 90"},
    "LagLarge": {"firstcome_lag_claims) > 20000": "firstcome_lag_claims) > 50"},
    "SweeperLate": {"> 60": "> 20"},
    "CollectorPauses": {"[5m]": "[1m]"},
    "SlotRetention": {"> 2e9": "> 5e7"},
    "DiskAlmostFull": {"for: 1m": "for: 10s"},
    "DiskFilling": {
        "firstcome_disk_free_bytes[15m]": "firstcome_disk_free_bytes[1m]",
        "offset 14m": "offset 50s",
        "for: 2m": "for: 10s",
    },
}


@pytest.fixture(scope="module")
def disks(root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Disk]]:
    """A small disk for all of a stack, and a smaller one in it for Redis."""
    state = tmp_path_factory.mktemp("spent") / "stack"
    state.mkdir(mode=0o700)
    found = {"stack": Disk(state, DISK_MEGABYTES), "redis": Disk(state / "redis", REDIS_MEGABYTES)}
    try:
        found["stack"].move_in()
        found["redis"].folder.mkdir(mode=0o700)
        found["redis"].move_in()
        yield found
    finally:
        for disk in reversed(found.values()):
            disk.unmount()


@pytest.fixture(scope="module")
def watched(slack: Slack, scaled: dict[str, str], disks: dict[str, Disk]) -> Iterator[RunningStack]:
    """The stack."""
    state = disks["stack"].folder
    with watched_by(slack, state, "--relay", "wal", **scaled) as running:
        hurry(running, HURRIED)
        yield running


def test_what_falls_behind_is_told(
    watched: RunningStack, slack: Slack, disks: dict[str, Disk]
) -> None:
    crowded = watched.create(100_000)
    # Its claims are due by their age alone, so a sweeper takes them up, and waits for their row.
    queued = watched.create(10, "--engine", "queue")
    faults, began = Processes(watched), now()
    with ExitStack() as troubles:
        troubles.enter_context(held_rows(watched, [crowded, queued]))
        assert watched.claim(queued, "ann").status == 202
        for trouble in (
            visitors(watched, crowded),
            unread_log(watched, faults, 5),
            growing_file(disks["stack"].folder, 1_000_000),
            collecting(watched),
        ):
            troubles.enter_context(trouble)
        told(watched, slack, BEHIND, began, all_fire=True)
        told(watched, slack, {"LagOld"}, began, all_fire=True)
    assert watched.standing(queued, "ann").json["status"] == "ISSUED"


def test_slot_of_a_relay_that_is_gone_is_told_until_there_is_another(
    watched: RunningStack, slack: Slack
) -> None:
    faults, began = Processes(watched), now()
    with dropped_slot(watched, faults, "firstcome_relay"):
        told(watched, slack, {"SlotLost"}, began, all_fire=True)
        assert watched.said("relay", "status", exit_code=1)["state"] == "gone"
    assert watched.said("relay", "status")["state"] in ("ready", "in use")


def test_what_is_spent_and_who_sees_nothing_is_told(
    watched: RunningStack, slack: Slack, disks: dict[str, Disk]
) -> None:
    campaign_id, later, began = watched.create(1000), watched.create(10), now()
    with (
        disks["stack"].almost_full(0.08),
        disks["redis"].full(),
        visitors(watched, campaign_id),
        unknown_state(watched, later),
    ):
        told(watched, slack, SPENT, began, all_fire=True)


def test_end_of_all_of_it_is_told(watched: RunningStack, slack: Slack) -> None:
    over(watched, slack, BEHIND | SPENT | {"LagOld", "SlotLost"}, 0.0)
