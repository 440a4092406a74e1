"""The processes of a stack as targets: killed, stopped, or standing still.

Every fault ends with the evidence that it has hit: another pid and one more restart in the
stack's own status, or a process that the kernel shows as stopped. Healing is waited for.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from firstcome import postgres
from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import eventually, wait
from firstcome.drill.faults import Missed
from firstcome.errors import Unavailable
from firstcome.local.folder import StackFolder
from firstcome.local.stack import Stack
from firstcome.settings import PostgresSettings

RESTART_SECONDS = 60.0
END_SECONDS = 25.0  # longer than any process' own time to drain


class Processes:
    """The supervised processes of one stack, and who of them was ended on purpose."""

    def __init__(self, stack: RunningStack, say: Callable[[str], None] = print) -> None:
        """The stack must run."""
        self.stack = stack
        self.evidence: list[str] = []
        self._say = say
        self._local = Stack(StackFolder(stack.state))
        self._holders = 0
        self._lock = threading.Lock()
        # By name: what status must say when nobody but the harness has ended a process.
        self.restarts = self.restarts_seen()
        self._allowed: Counter[str] = Counter()

    def status(self) -> dict[str, Any]:
        """Return what the supervisor has seen last."""
        return self._local.status()

    def restarts_seen(self) -> dict[str, int]:
        """Return what status says of every process now."""
        return {each["name"]: each["restarts"] for each in self.status()["processes"]}

    def unexplained(self) -> list[str]:
        """Return a sentence for every restart that is none of ours."""
        restarts = self.restarts_seen()
        known = Counter(self.restarts)  # a recorder that came later had none
        return [
            f"{name} was restarted, and nobody had ended it: {seen}, not {known[name]}"
            for name, seen in restarts.items()
            if not 0 <= seen - known[name] <= self._allowed[name]
        ]

    def allow(self, name: str) -> None:
        """Let a process have one restart more, which need not happen."""
        with self._lock:
            self._allowed[name] += 1

    def names(self, role: str) -> list[str]:
        """Return the names of a role's processes."""
        return [each["name"] for each in self.status()["processes"] if each["role"] == role]

    def named(self, name: str) -> dict[str, Any]:
        """Return what status says of one process."""
        for each in self.status()["processes"]:
            if each["name"] == name:
                return dict(each)
        raise Missed(f"there is no process {name}")

    def pid(self, name: str) -> int:
        """Return the pid of a process that works. Raises Missed."""
        found = self.named(name)
        if found["state"] != "ready" or not found["pid"]:
            raise Missed(f"{name} is {found['state']}")
        return int(found["pid"])

    def note(self, fact: str) -> str:
        """Keep a piece of evidence."""
        with self._lock:
            self.evidence.append(fact)
        self._say(f"fault: {fact}")
        return fact

    def kill(self, name: str) -> None:
        """kill -9; return when its successor works."""
        with self.noticed(name) as pid:
            os.kill(pid, signal.SIGKILL)

    def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP for a time, then SIGCONT."""
        with self.frozen(name):
            wait(seconds)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """SIGSTOP a process and its children; SIGCONT at the end, unless it was killed."""
        import psutil  # only where a stack runs

        pid = self.pid(name)
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        began = time.monotonic()
        try:
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    each.suspend()
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
            self.note(f"{name}: pid {pid} stood still for {stood:.1f} s")

    @contextmanager
    def noticed(self, name: str) -> Iterator[int]:
        """Lend the pid; then wait until the supervisor has started a successor that works."""
        before, pid = self.named(name), self.pid(name)
        began = time.monotonic()
        yield pid
        after = eventually(
            f"a successor of {name} works",
            lambda: self.named(name),
            lambda each: each["pid"] not in (None, pid) and each["state"] == "ready",
            seconds=RESTART_SECONDS,
        )
        died = after["restarts"] - before["restarts"]
        with self._lock:
            self.restarts[name] += 1
        if died != 1 or not is_dead(pid):
            raise Missed(f"{name}: {died} restarts instead of one, pid {pid}")
        seconds = time.monotonic() - began
        self.note(f"{name}: pid {pid} -> {after['pid']} after {seconds:.1f} s")

    @contextmanager
    def nobody_restarted(self) -> Iterator[None]:
        """Stop the supervisor: who dies meanwhile is missing until the end. Nests."""
        import psutil  # only where a stack runs

        supervisor = psutil.Process(self.status()["supervisor"])
        with self._lock:
            self._holders += 1
            supervisor.suspend()
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0:
                    supervisor.resume()

    def kill_while_recording(self, name: str, campaign_id: int) -> None:
        """kill -9 of a recorder that is certainly in the middle of a transaction.

        It is held up at the campaign's row, which it locks first, and dies there.
        """
        settings = PostgresSettings(**self.stack.settings["postgres"])
        waiting = (
            "SELECT pid, query FROM pg_stat_activity"
            " WHERE application_name LIKE 'firstcome-recorder%' AND wait_event_type = 'Lock'"
        )
        with (
            postgres.connect(settings, name="drill-holder") as holder,
            postgres.connect(settings, name="drill-watcher") as watcher,
        ):
            watcher.autocommit = True
            row = "SELECT FROM campaigns WHERE campaign_id = %s FOR UPDATE"
            holder.execute(row, [campaign_id])
            caught = eventually(
                "the recorder waits in mid-batch",
                lambda: watcher.execute(waiting).fetchone(),
                seconds=10,
            )
            self.note(f"caught in {caught[1][:60]!r}")
            with self.noticed(name) as pid:
                os.kill(pid, signal.SIGKILL)
                holder.rollback()

    def kill_everything(self, *options: str) -> None:
        """kill -9 of the supervisor, and with it of every process; then start the stack again."""
        status = self.status()
        os.kill(status["supervisor"], signal.SIGKILL)
        pids = [each["pid"] for each in status["processes"]]
        eventually(
            "nothing of the stack is left",
            lambda: [pid for pid in pids if not is_dead(pid)],
            lambda alive: not alive,
            seconds=10,
        )
        self.note(f"all of the stack died: pids {pids}")
        after = self.stack.said("up", *options)
        self.restarts = dict.fromkeys(self.restarts, 0)
        if survivors := {each["pid"] for each in after["processes"]} & set(pids):
            raise Unavailable(f"after the death of everything there are still {survivors}")


def is_dead(pid: int) -> bool:
    """Whether no such process works any more; one that nobody has waited for counts as dead."""
    import psutil  # only where a stack runs

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
