"""The faults that bring plants to light. Each ends when all of it is healed.

They break a stack with two api processes and one recorder; the crowd is there all the time.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka.admin import AdminClient

from firstcome import failpoints, postgres
from firstcome.drill.data import RedisData, wipe_redis
from firstcome.drill.endings import Ended
from firstcome.drill.eventually import eventually, wait
from firstcome.drill.judge import Judge
from firstcome.drill.processes import Processes
from firstcome.settings import KafkaSettings, PostgresSettings

# Longer than D and the second that a rebuild adds to it, shorter than a client's patience.
ACROSS_A_REBUILD_SECONDS = 6.5
UNDER_WAY_SECONDS = 60.0
# Shorter than D, longer than Redis needs to be there again.
WITHIN_D_SECONDS = 2.6


class Field:
    """One stack under faults: what the faults of this file need."""

    def __init__(self, processes: Processes, points: Path, judge: Judge) -> None:
        """`points` is the stack's folder of failpoints."""
        self.processes = processes
        self.verified: list[str] = []  # what was found wrong while the fault lasted
        self._points = points
        self._judge = judge

    def verify(self) -> None:
        """Check the laws now, in the middle of everything."""
        self.verified += self._judge.verified(grace_seconds=UNDER_WAY_SECONDS)

    def meets(self, point: str, action: str, role: str, times: int = 1) -> int:
        """Let processes of a kind meet an armed failpoint; return the last one's pid."""
        for _ in range(times):
            armed = failpoints.arm(self._points, point, action, role=role)
            eventually(
                f"a process meets {point}", armed.exists, lambda waits: not waits, seconds=20
            )
        proofs = failpoints.taken(self._points)
        newest = max(proofs, key=lambda proof: proof.stat().st_mtime_ns)
        self.processes.note(f"{action} at {newest.name}")
        return int(newest.name.rpartition("-")[2])

    def dies_at(self, point: str, role: str) -> None:
        """Let a process of a kind die at a failpoint; return when its successor works."""
        status = self.processes.status()["processes"]
        names = {each["pid"]: each["name"] for each in status}
        pid = self.meets(point, "kill", role)
        eventually(
            f"a successor of {names[pid]} works",
            lambda: self.processes.named(names[pid]),
            lambda each: each["pid"] not in (None, pid) and each["state"] == "ready",
            seconds=40,
        )
        self.processes.restarts[names[pid]] += 1


def nothing_breaks(field: Field) -> None:
    """A crowd is enough."""
    wait(2.5)


def api_dies_after_admission(field: Field) -> None:
    """Claims have places, and nobody who could append them."""
    for _ in range(2):
        field.dies_at("after_admit", "api")


def api_dies_after_admission_and_redis_is_wiped(field: Field) -> None:
    """Claims have places that only the gate knew of, below places that were recorded."""
    # Not after_admit: a batch of refusals passes there too, and leaves no place behind.
    field.dies_at("before_append", "api")
    wipe_redis(field.processes)


def appends_are_refused(field: Field) -> None:
    """The producer takes some records not, which is certain."""
    field.meets("before_append", "drop", "api", times=10)
    wait(1)


def verdicts_are_lost_and_redis_is_wiped(field: Field) -> None:
    """Users whose claim only the gate knows of ask again; then the gate forgets them."""
    field.meets("after_admit", "drop", "api", times=8)
    wait(1)
    wipe_redis(field.processes)


def redis_stands_still(field: Field) -> None:
    """Gate calls run, but their replies come too late."""
    field.processes.freeze("redis", 2)


def redis_returns_with_an_old_file(field: Field) -> None:
    """Redis is killed, and knows after its return only what it knew some time before."""
    data = RedisData(field.processes.stack.state)
    data.remember()
    wait(1.5)
    fault = Ended(field.processes, "redis", signal.SIGKILL, data.put_back)
    try:
        fault.inject()
    finally:
        fault.heal()


def api_stands_still_across_a_rebuild(field: Field) -> None:
    """The last batch of an epoch is appended when the next epoch has begun."""
    with field.processes.frozen("api-2"):
        awake_at = _api_stands_still(field, ACROSS_A_REBUILD_SECONDS)
        wipe_redis(field.processes)
        wait(awake_at - time.monotonic() + 0.5)


def an_api_appends_after_a_rebuild(field: Field) -> None:
    """A batch in the middle of an epoch is appended when the next epoch has begun."""
    awake_at = _api_stands_still(field, ACROSS_A_REBUILD_SECONDS)
    wait(1)
    wipe_redis(field.processes)
    wait(awake_at - time.monotonic() + 0.5)


def api_stands_still_while_redis_is_wiped(field: Field) -> None:
    """A batch is appended, and promised in time, while a rebuild is under way."""
    awake_at = _api_stands_still(field, WITHIN_D_SECONDS)
    wipe_redis(field.processes)
    wait(awake_at - time.monotonic() + 0.5)


def apis_die_before_a_broker_that_stands_still(field: Field) -> None:
    """What only the producers had is gone, and Redis forgets it too."""
    with (
        field.processes.noticed("api-1") as one,
        field.processes.noticed("api-2") as two,
        field.processes.frozen("kafka-1"),
    ):
        wait(1)
        for pid in (one, two):
            os.kill(pid, signal.SIGKILL)
        wipe_redis(field.processes)


def recorder_stands_still_before_its_commit(field: Field) -> None:
    """PostgreSQL ends its transaction before it wakes; the laws are checked meanwhile."""
    awake_at = time.monotonic() + 7
    field.meets("before_commit", "pause 7", "recorder")
    field.verify()
    wait(awake_at - time.monotonic() + 0.5)


def recorder_dies_in_mid_batch_and_redis_is_wiped(field: Field) -> None:
    """What it had polled and not recorded is in the log, and nowhere else."""
    settings = PostgresSettings(**field.processes.stack.settings["postgres"])
    with postgres.connect(settings, name="plants-holder") as holder:
        holder.execute("SELECT FROM campaigns FOR UPDATE")
        wait(2)
        with field.processes.noticed("recorder-1") as pid:
            os.kill(pid, signal.SIGKILL)
            holder.rollback()
            wipe_redis(field.processes)


def offsets_are_forgotten_and_redis_is_wiped(field: Field) -> None:
    """The recorder begins where no offset is committed; records have come since it left."""
    settings = KafkaSettings(**field.processes.stack.settings["kafka"])

    def forget_offsets() -> str:
        admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
        for future in admin.delete_consumer_groups([settings.group_id]).values():
            future.result(timeout=10)
        return f"the offsets of {settings.group_id} are gone"

    # SIGTERM: only a group that everybody has left can be deleted.
    fault = Ended(field.processes, "recorder-1", signal.SIGTERM, forget_offsets)
    try:
        fault.inject()
        wait(1)
    finally:
        fault.heal()
    wait(0.3)
    wipe_redis(field.processes)


def recorder_loses_its_session_and_redis_is_wiped(field: Field) -> None:
    """Transactions are rolled back; the log alone has their claims."""
    field.meets("before_commit", "drop", "recorder", times=5)
    wipe_redis(field.processes)


def recorder_stands_still_and_redis_is_wiped(field: Field) -> None:
    """Claims that were promised stand in the log, and nobody records them for a while."""
    with field.processes.frozen("recorder-1"):
        wait(1)
        wipe_redis(field.processes)
        wait(7)


def _api_stands_still(field: Field, seconds: float) -> float:
    """Stop an api between the gate and the log; return when (monotonic) it goes on."""
    field.meets("after_admit", f"pause {seconds}", "api")
    return time.monotonic() + seconds


FAULTS: dict[str, Callable[[Field], None]] = {
    fault.__name__: fault
    for fault in (
        nothing_breaks,
        api_dies_after_admission,
        api_dies_after_admission_and_redis_is_wiped,
        appends_are_refused,
        verdicts_are_lost_and_redis_is_wiped,
        redis_stands_still,
        redis_returns_with_an_old_file,
        api_stands_still_across_a_rebuild,
        an_api_appends_after_a_rebuild,
        api_stands_still_while_redis_is_wiped,
        apis_die_before_a_broker_that_stands_still,
        recorder_stands_still_before_its_commit,
        recorder_dies_in_mid_batch_and_redis_is_wiped,
        offsets_are_forgotten_and_redis_is_wiped,
        recorder_loses_its_session_and_redis_is_wiped,
        recorder_stands_still_and_redis_is_wiped,
    )
}
