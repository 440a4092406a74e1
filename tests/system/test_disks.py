"""An engine's disk is full, under load: nothing is lost, and it goes on once there is space.

Redis refuses writes as long as its append-only file cannot grow, so claims hear 503. PostgreSQL
refuses rows or ends itself; claims go on, because a 202 needs gate and log only. A broker ends
itself and is started again and again until it can write.
"""

import pytest
from disk import Disk
from engines import EngineLog, ask_redis, recover

from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import eventually, wait
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.processes import Processes

pytestmark = pytest.mark.system

FINAL_SECONDS = 60.0
FULL_SECONDS = 3.0
NO_SPACE = "No space left on device"


def test_redis_has_no_space_for_its_append_only_file(
    cramped: RunningStack, disks: dict[str, Disk], seed: int
) -> None:
    def fill_redis(faults: Processes) -> None:
        log = EngineLog(cramped.state, "redis")
        with disks["redis"].full() as evidence:
            faults.note(evidence)
            # In the words of its first try: an error, or a write that was shorter than asked.
            faults.note(log.said("to the AOF file"))
            wait(FULL_SECONDS)
            assert "MISCONF" in ask_redis(cramped, "SET", "a-key", "a-value")
        eventually(
            "Redis writes again",
            lambda: ask_redis(cramped, "INFO", "persistence"),
            lambda said: "aof_last_write_status:ok" in said,
        )

    ordeal = Ordeal(cramped, seed)
    ordeal.undergo(fill_redis, FINAL_SECONDS)
    assert any(heard.code == "TEMPORARILY_UNAVAILABLE" for heard in ordeal.heard)


def test_postgres_has_no_space_for_rows(
    cramped: RunningStack, disks: dict[str, Disk], seed: int
) -> None:
    def fill_postgres(faults: Processes) -> None:
        log = EngineLog(cramped.state, "postgres")
        with disks["postgres"].full() as evidence:
            faults.note(evidence)
            faults.note(log.said(NO_SPACE))
            wait(FULL_SECONDS)
            faults.note(disks["postgres"].grow(64))
            recover(faults, "postgres")

    Ordeal(cramped, seed).undergo(fill_postgres, FINAL_SECONDS)


def test_broker_has_no_space_for_its_log(
    cramped: RunningStack, disks: dict[str, Disk], seed: int
) -> None:
    def fill_kafka(faults: Processes) -> None:
        log = EngineLog(cramped.state, "kafka-1")
        with disks["kafka-1"].full() as evidence:
            faults.note(evidence)
            faults.note(log.said(NO_SPACE))
            wait(FULL_SECONDS)
        recover(faults, "kafka-1")

    Ordeal(cramped, seed).undergo(fill_kafka, FINAL_SECONDS)
