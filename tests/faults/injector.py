"""What breaks things, and proves that it did.

Every fault ends with the evidence that it has hit: another pid and one more restart in the
stack's own status, or a process that the kernel shows as stopped. Healing is waited for.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import psycopg

from running import RunningStack, eventually


class Injector:
    """Faults against one stack."""

    def __init__(self, stack: RunningStack) -> None:
        """The stack must run."""
        self._stack = stack
        self.evidence: list[str] = []
        # By name: what status must say when nobody but this injector has ended a process.
        self.restarts = self.restarts_seen()

    def restarts_seen(self) -> dict[str, int]:
        """Return what status says of every process now."""
        return {each["name"]: each["restarts"] for each in self._stack.processes()}

    def kill(self, name: str) -> None:
        """kill -9; return when its successor works."""
        with self.noticed(name) as pid:
            os.kill(pid, signal.SIGKILL)

    def kill_while_recording(self, name: str, campaign_id: int) -> None:
        """kill -9 of a recorder that is certainly in the middle of a transaction.

        It is held up at the campaign's row, which it locks first, and dies there.
        """
        with (
            psycopg.connect(self._stack.urls["postgres"]) as holder,
            psycopg.connect(self._stack.urls["postgres"], autocommit=True) as watcher,
        ):
            row = "SELECT FROM campaigns WHERE campaign_id = %s FOR UPDATE"
            holder.execute(row, [campaign_id])
            waiting = (
                "SELECT pid, query FROM pg_stat_activity"
                " WHERE application_name LIKE 'firstcome-recorder%' AND wait_event_type = 'Lock'"
            )
            caught = eventually(
                "the recorder waits in mid-batch",
                lambda: watcher.execute(waiting).fetchone(),
                seconds=10,
            )
            self._note(f"caught in {caught[1][:60]!r}")
            with self.noticed(name) as pid:
                os.kill(pid, signal.SIGKILL)
                holder.rollback()

    def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP for a time, then SIGCONT."""
        with self.frozen(name):
            self.wait(seconds)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """SIGSTOP a process and its children; SIGCONT at the end, unless it was killed."""
        process = self._process(name)
        parent = psutil.Process(process["pid"])
        family = [parent, *parent.children(recursive=True)]
        for each in family:
            each.suspend()
        began = time.monotonic()
        try:
            eventually(
                "the kernel shows it as stopped",
                parent.status,
                lambda status: status == psutil.STATUS_STOPPED,
                seconds=2,
            )
            yield
        finally:
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    each.resume()
            stood = time.monotonic() - began
            self._note(f"{name}: pid {process['pid']} stood still for {stood:.1f} s")

    def wait(self, seconds: float) -> None:
        """Let time pass: how long a fault lasts is a part of it."""
        until = time.monotonic() + seconds
        eventually("the time is over", time.monotonic, lambda now: now > until, seconds=seconds + 5)

    def wipe_redis(self) -> None:
        """kill -9 of Redis and the loss of all that it had on disk."""
        supervisor = psutil.Process(self._stack.status()["supervisor"])
        with self.noticed("redis") as pid:
            # Nobody may start it again before its data is gone.
            supervisor.suspend()
            try:
                os.kill(pid, signal.SIGKILL)
                eventually("it is dead", lambda: is_dead(pid), seconds=5)
                data = self._stack.state / "redis" / "appendonlydir"
                size = sum(file.stat().st_size for file in data.iterdir())
                shutil.rmtree(data)
                self._note(f"redis: {size} bytes of its data removed")
            finally:
                supervisor.resume()

    def kill_everything(self, *options: str) -> None:
        """kill -9 of the supervisor, and with it of every process; then start the stack again."""
        status = self._stack.status()
        os.kill(status["supervisor"], signal.SIGKILL)
        pids = [each["pid"] for each in status["processes"]]
        eventually(
            "nothing of the stack is left",
            lambda: [pid for pid in pids if not is_dead(pid)],
            lambda alive: not alive,
            seconds=10,
        )
        self._note(f"all of the stack died: pids {pids}")
        after = self._stack.said("up", *options)
        self.restarts = dict.fromkeys(self.restarts, 0)
        assert not {each["pid"] for each in after["processes"]} & set(pids)

    @contextmanager
    def noticed(self, name: str) -> Iterator[int]:
        """Lend the pid; then wait until the supervisor has started a successor that works."""
        before = self._process(name)
        began = time.monotonic()
        yield before["pid"]
        after = eventually(
            f"a successor of {name} works",
            lambda: self._process(name),
            lambda each: each["pid"] not in (None, before["pid"]) and each["state"] == "ready",
            seconds=40,
        )
        assert after["restarts"] == before["restarts"] + 1, (before, after)
        self.restarts[name] += 1
        assert is_dead(before["pid"])
        seconds = time.monotonic() - began
        self._note(f"{name}: pid {before['pid']} -> {after['pid']} after {seconds:.1f} s")

    def _process(self, name: str) -> dict[str, Any]:
        (found,) = [each for each in self._stack.processes() if each["name"] == name]
        return found

    def _note(self, fact: str) -> None:
        self.evidence.append(fact)
        print(f"fault: {fact}")


def is_dead(pid: int) -> bool:
    """Whether no such process works any more; one that nobody has waited for counts as dead."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
