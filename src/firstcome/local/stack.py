"""A local stack as a command sees it: start it, look at it, stop it.

The supervisor is a daemon of its own; this side talks to it through the state folder (its lock, its
status.json) and by SIGTERM.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from firstcome.errors import Refused, Unavailable
from firstcome.local import monitoring, recorders, remains
from firstcome.local.blueprint import kafka_servers
from firstcome.local.folder import StackFolder, read_json
from firstcome.local.identity import Identity
from firstcome.local.shape import Shape
from firstcome.local.supervisor import stopped

Status = dict[str, Any]
POLL_SECONDS = 0.05
# Longer than every process' own time to end, one after another.
DOWN_SECONDS = 120.0


class StartFailed(Unavailable):
    """The stack did not start; nothing of it is left running. `process` says where to look."""

    def __init__(self, process: str, reason: str) -> None:
        """`process` names the log file that holds the cause."""
        super().__init__(f"the local stack did not start: {process} {reason}", certain=True)
        self.process = process


class Stack:
    """One local stack."""

    def __init__(self, folder: StackFolder) -> None:
        """Nothing need run or exist."""
        self.folder = folder

    def status(self) -> Status:
        """Return the supervisor's last word, or that nothing runs."""
        pid = self.folder.supervisor()
        return self._said_by(pid) if pid else stopped()

    def up(self, shape: Shape, progress: Callable[[Status], None] = lambda status: None) -> Status:
        """Start what does not run yet; return once all of it is ready. Repeatable.

        A running stack is left as it is, whatever its shape. `progress` sees each status on the
        way. Raises StartFailed, and Refused if a stop is under way.
        """
        supervisor = None
        if self.folder.supervisor() is None:
            supervisor = self._launch(shape)
        try:
            return self._await_ready(supervisor, progress)
        except KeyboardInterrupt:
            if supervisor is not None:
                self.down()
            raise

    def down(self, wipe: bool = False) -> bool:
        """Stop everything; return whether something ran. `wipe` removes the data as well."""
        ran = self.folder.supervisor() is not None
        deadline = time.monotonic() + DOWN_SECONDS
        asked = None
        while (pid := self.folder.supervisor()) is not None:
            if pid != asked:
                os.kill(pid, signal.SIGTERM)
                asked = pid
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the supervisor (pid {pid}) has not stopped after {DOWN_SECONDS:.0f} s: data "
                    "is safe; see `firstcome logs supervisor`"
                )
            time.sleep(POLL_SECONDS)
        remains.clear(self.folder)
        if wipe:
            self.folder.wipe()
        return ran

    def recorders(self) -> int:
        """Return how many recorders are wanted. Raises Refused where nothing runs.

        Asked for a moment ago counts, also while a busy supervisor has not followed yet.
        """
        shape = self._running()["shape"]
        return recorders.wanted(self.folder) or int(shape["recorders"])

    def scale(self, count: int) -> None:
        """Want so many recorders; the supervisor follows within a second. Raises Refused.

        The number is kept over restarts of the stack.
        """
        self._running()
        recorders.want(self.folder, count)

    def await_recorders(self, count: int, seconds: float) -> None:
        """Return once so many recorders work and no other one does. Raises Unavailable."""
        deadline = time.monotonic() + seconds
        while (here := self.counted(recorders.ROLE)) != {"running": count, "ready": count}:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{count} recorders are wanted, but {here['ready']} of {here['running']} are "
                    f"ready after {seconds:g} s: nothing is lost, claims wait in the log; see "
                    "`firstcome logs recorder`"
                )
            time.sleep(POLL_SECONDS)

    def counted(self, role: str) -> dict[str, int]:
        """Return how many processes of a role there are, and how many of them are ready."""
        states = [each["state"] for each in self.status()["processes"] if each["role"] == role]
        return {"running": len(states), "ready": states.count("ready")}

    def metrics_urls(self, role: str) -> list[str]:
        """Return where the processes of a role tell what they do."""
        processes = self.status()["processes"]
        return [each["metrics_url"] for each in processes if each["role"] == role]

    def check_up(self) -> None:
        """Return if a stack runs here, be it that it is starting. Raises Refused."""
        if self.folder.supervisor() is None:
            raise _nothing_to_scale(self.folder, "stopped")

    def _running(self) -> Status:
        status = self.status()
        if status["state"] != "running" or status["shape"]["engines_only"]:
            raise _nothing_to_scale(self.folder, status["state"])
        return status

    def _launch(self, shape: Shape) -> "subprocess.Popen[bytes]":
        Identity.of(self.folder, shape.brokers)  # refuses in this process, with its own message
        kafka_servers(shape)
        for name in monitoring.PROGRAMS if shape.monitors else ():
            monitoring.program(name)
        self.folder.create()
        program = (sys.executable, "-m", "firstcome.local.supervisor")
        with self.folder.log("supervisor").open("ab") as log:
            return subprocess.Popen(
                [*program, str(self.folder.path), shape.to_json()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # it outlives this terminal
            )

    def _await_ready(
        self,
        supervisor: "subprocess.Popen[bytes] | None",
        progress: Callable[[Status], None],
    ) -> Status:
        while True:
            ended = supervisor is not None and supervisor.poll() is not None
            # Ours, or that of somebody who was quicker; ours even after its end, for its failure.
            pid = self.folder.supervisor() or (supervisor.pid if supervisor else None)
            status = self._said_by(pid)
            progress(status)
            if status["failure"] is not None and (supervisor is None or ended):
                raise StartFailed(status["failure"]["process"], status["failure"]["reason"])
            if status["state"] == "running":
                return status
            if status["state"] == "stopping" and status["failure"] is None:
                raise Refused("the local stack is being stopped: wait for it, then start it again")
            if self.folder.supervisor() is None and (supervisor is None or ended):
                raise StartFailed("supervisor", "ended before all was ready")
            time.sleep(POLL_SECONDS)

    def _said_by(self, pid: int | None) -> Status:
        """Return the last word of this supervisor, not of an earlier one."""
        said: Status | None = read_json(self.folder.status)
        if said is None or said["supervisor"] != pid:
            return stopped() | {"state": "starting", "supervisor": pid}
        return said


def _nothing_to_scale(folder: StackFolder, state: str) -> Refused:
    return Refused(
        f"no local stack with recorders runs in {folder.path} ({state}): `firstcome up` starts "
        "one; on Kubernetes KEDA scales (deploy/keda)"
    )
