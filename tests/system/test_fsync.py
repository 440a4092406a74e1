"""fsync fails, or takes long, under load: no promise rests on what only a cache has.

PostgreSQL ends itself when it cannot make a commit durable, and replays its log. Redis refuses
writes until somebody restarts it, or ends itself with `appendfsync always`. What a killed Redis had
not yet on a slow disk is found again in the log and in the rows.
"""

import os
import signal
from pathlib import Path

import pytest
from engines import EngineLog, ask_redis, recover
from syscalls import Trace

from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import wait
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.processes import Processes

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("strace")]

FINAL_SECONDS = 60.0
SLOW_SECONDS = 5.0


def test_redis_cannot_sync_its_append_only_file(
    cramped: RunningStack, seed: int, tmp_path: Path
) -> None:
    def fail_in_the_background(faults: Processes) -> None:
        log = EngineLog(cramped.state, "redis")
        with Trace(faults.pid("redis"), "error=EIO:when=1", tmp_path / "trace") as trace:
            faults.note(trace.hit())
            faults.note(log.said("Fail to fsync the AOF file"))
        # It writes nothing any more, so it syncs nothing, and cannot see that the disk is well.
        assert "MISCONF" in ask_redis(cramped, "SET", "a-key", "a-value")
        with faults.noticed("redis") as pid:
            os.kill(pid, signal.SIGTERM)

    def fail_always(faults: Processes) -> None:
        with faults.noticed("redis") as pid:
            assert "+OK" in ask_redis(cramped, "CONFIG", "SET", "appendfsync", "always")
            with Trace(pid, "error=EIO:when=1", tmp_path / "trace-always") as trace:
                faults.note(trace.hit())

    def fail_both(faults: Processes) -> None:
        fail_in_the_background(faults)
        fail_always(faults)

    Ordeal(cramped, seed).undergo(fail_both, FINAL_SECONDS)


def test_redis_is_killed_while_its_disk_is_slow(
    cramped: RunningStack, seed: int, tmp_path: Path
) -> None:
    def slow_then_kill(faults: Processes) -> None:
        with Trace(faults.pid("redis"), "delay_enter=1500000", tmp_path / "trace") as trace:
            faults.note(trace.hit(2))
            wait(SLOW_SECONDS)
            with faults.noticed("redis") as pid:
                os.kill(pid, signal.SIGKILL)

    Ordeal(cramped, seed).undergo(slow_then_kill, FINAL_SECONDS)


def test_postgres_cannot_sync_its_log(cramped: RunningStack, seed: int, tmp_path: Path) -> None:
    def fail(faults: Processes) -> None:
        log = EngineLog(cramped.state, "postgres")
        with Trace(faults.pid("postgres"), "error=EIO:when=1", tmp_path / "trace") as trace:
            faults.note(trace.hit())
            faults.note(log.said("PANIC"))
        faults.note(log.said("ready to accept connections", seconds=60))
        recover(faults, "postgres")

    Ordeal(cramped, seed).undergo(fail, FINAL_SECONDS)


def test_postgres_syncs_slowly(cramped: RunningStack, seed: int, tmp_path: Path) -> None:
    def slow(faults: Processes) -> None:
        with Trace(faults.pid("postgres"), "delay_enter=300000", tmp_path / "trace") as trace:
            faults.note(trace.hit(3))
            wait(SLOW_SECONDS)

    Ordeal(cramped, seed).undergo(slow, FINAL_SECONDS)
