"""The daemon of one local stack: starts its processes in order, restarts them, stops them in order.

PostgreSQL, Redis and Kafka start together; then `migrate` runs; then what the relay needs is made;
then all others start; then who watches them. While all of it runs, recorders come and go as they
are wanted. SIGTERM drains: nobody new is let in first, the engines go last. Each process gets its
time to end, then SIGKILL. One thread, no waiting inside `run_once()`. What it sees is in
status.json.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from firstcome.local import monitoring, remains
from firstcome.local.blueprint import Blueprint, port_names
from firstcome.local.folder import StackFolder, write_json
from firstcome.local.identity import Identity
from firstcome.local.process import Process, Spec
from firstcome.local.recorders import Recorders, want
from firstcome.local.shape import Shape

# Roles in the order in which they end.
DRAIN_ORDER = (
    # A stop that was asked for wakes nobody.
    ("prometheus", "alertmanager", "migrate", "api", "autoscaler"),
    ("recorder",),
    ("sweeper", "console", "relay", "connect"),
    ("kafka",),
    ("redis",),
    ("postgres",),
)
# A process that dies so often without ever having worked is not going to.
DEATHS_UNREADY_MAX = 3
BUSY_SECONDS, IDLE_SECONDS, DRAIN_SECONDS = 0.02, 1.0, 0.02


class Supervisor:
    """Runs one blueprint until it is told to stop, or until the start has failed."""

    def __init__(self, folder: StackFolder, blueprint: Blueprint) -> None:
        """The folder must exist and be locked by this process."""
        self.state = "starting"
        self.failure: dict[str, str] | None = None
        self._folder = folder
        self._blueprint = blueprint
        self._processes: list[Process] = []
        self._listener: socket.socket | None = None
        recorders = 0 if blueprint.shape.engines_only else blueprint.shape.recorders
        self._recorders = Recorders(folder, recorders, self._recorder)
        self._stages = (
            ["engines"]
            if blueprint.shape.engines_only
            else ["monitors", "own", "prepare", "migrate", "engines"]
        )
        self._stop_asked = False
        self._published: dict[str, Any] = {}
        self._pids: list[int] = []

    def run(self) -> int:
        """Start, watch, drain. Returns the exit code: 0 after a stop that was asked for."""
        with selectors.DefaultSelector() as selector, _signals_wake(selector, self._ask_stop):
            while not self._stop_asked and self.failure is None:
                self.run_once()
                _wait(selector, IDLE_SECONDS if self._is_idle() else BUSY_SECONDS)
            self.drain()
        return 0 if self.failure is None else 3

    def run_once(self) -> None:
        """Look at every process once, and start the next stage when all of this one work."""
        now = time.monotonic()
        for process in self._processes:
            process.poll(now)
        if self.state == "starting":
            self._judge_start(now)
        elif self.state == "running" and self._recorders.count:
            self._recorders.follow(self._processes, now)
        self._publish()

    def drain(self) -> None:
        """End everything, role by role, each process in its own time. Blocks until all are gone."""
        self.state = "stopping"
        if self._listener is not None:
            self._listener.close()
        self._publish()
        for roles in DRAIN_ORDER:
            self._drain([each for each in self._processes if each.spec.role in roles])
        self.state = "stopped"
        self._publish()

    def status(self) -> dict[str, Any]:
        """Return what `firstcome status` prints."""
        return {
            "state": self.state,
            "urls": self._blueprint.urls(),
            "supervisor": os.getpid(),
            "shape": asdict(self._blueprint.shape) | {"recorders": self._recorders.count},
            "failure": self.failure,
            "processes": [
                {
                    "name": process.spec.name,
                    "role": process.spec.role,
                    "pid": process.pid,
                    "state": process.state,
                    "restarts": process.restarts,
                    "metrics_url": process.spec.metrics_url,
                }
                for process in self._processes
                if not process.spec.once or process.state != "stopped"
            ],
        }

    def _judge_start(self, now: float) -> None:
        for process in self._processes:
            if process.deaths_unready >= DEATHS_UNREADY_MAX:
                self._fail(process, process.last_words)
                return
            if process.overdue(now):
                self._fail(process, f"was not ready after {process.spec.ready_seconds:.0f} s")
                return
        if all(process.done or process.state == "ready" for process in self._processes):
            self._start_next_stage(now)

    def _start_next_stage(self, now: float) -> None:
        if not self._stages:
            self.state = "running"
            return
        stage = self._stages.pop()
        if stage == "engines":
            self._start(self._blueprint.engines(), now)
        elif stage == "migrate":
            self._start([self._blueprint.migration()], now)
        elif stage == "prepare":
            self._start(self._blueprint.preparation(), now)
        elif stage == "monitors":
            self._start(self._blueprint.monitors(), now)
        else:
            self._listener = self._blueprint.listener()
            self._start(self._blueprint.processes(self._listener), now)

    def _start(self, specs: list[Spec], now: float) -> None:
        for spec in specs:
            process = Process(spec, self._folder.log(spec.name))
            self._processes.append(process)
            process.start(now)

    def _recorder(self, number: int) -> Process:
        spec = self._blueprint.recorder(number)
        return Process(spec, self._folder.log(spec.name))

    def _fail(self, process: Process, reason: str) -> None:
        self.failure = {"process": process.spec.name, "reason": reason}

    def _drain(self, processes: list[Process]) -> None:
        begun = time.monotonic()
        for process in processes:
            process.signal(process.spec.stop_signal)
        while waiting := [process for process in processes if not process.gone()]:
            for process in waiting:
                if time.monotonic() - begun > process.spec.stop_seconds:
                    process.signal(signal.SIGKILL)
            self._publish()
            time.sleep(DRAIN_SECONDS)
        self._publish()

    def _publish(self) -> None:
        status = self.status()
        if status == self._published:
            return
        pids = [process.pid for process in self._processes if process.pid]
        if pids != self._pids:
            remains.record(self._folder, pids)
            self._pids = pids
        if self._blueprint.shape.monitors:
            monitoring.write_targets(self._folder.path, status["processes"])
        write_json(self._folder.status, status)
        self._tell_changes(status)
        self._published = status

    def _tell_changes(self, status: dict[str, Any]) -> None:
        """Write what has changed to the supervisor's own log."""
        before = {each["name"]: each["state"] for each in self._published.get("processes", [])}
        last_words = {process.spec.name: process.last_words for process in self._processes}
        for each in status["processes"]:
            if before.get(each["name"]) != each["state"]:
                reason = last_words[each["name"]] if each["state"] == "backing-off" else None
                _tell("process changed", process=each["name"], state=each["state"], reason=reason)
        if status["state"] != self._published.get("state"):
            _tell("stack changed", state=status["state"], failure=status["failure"])

    def _is_idle(self) -> bool:
        return self.state == "running" and all(process.idle for process in self._processes)

    def _ask_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_asked = True


def _tell(event: str, **fields: object) -> None:
    """Print one fact as every process of ours does, without the time that loading it all takes."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    facts = {name: value for name, value in fields.items() if value is not None}
    line = {"time": now, "event": event, "role": "supervisor", "pid": os.getpid()} | facts
    print(json.dumps(line), flush=True)


@contextlib.contextmanager
def _signals_wake(selector: selectors.BaseSelector, stop: Any) -> Any:
    """Let SIGTERM and the death of a child end the wait on `selector` at once."""
    receiver, sender = socket.socketpair()
    receiver.setblocking(False)
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    selector.register(receiver, selectors.EVENT_READ)
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        receiver.close()
        sender.close()


def _wait(selector: selectors.BaseSelector, seconds: float) -> None:
    for key, _ in selector.select(seconds):
        with contextlib.suppress(BlockingIOError):
            os.read(key.fd, 4096)


def main(path: str, shape_json: str) -> int:
    """Become the supervisor of the stack in `path`. Returns the exit code."""
    folder, shape = StackFolder(Path(path)), Shape.from_json(shape_json)
    folder.create()
    if not folder.lock():
        return 0  # somebody else was quicker: theirs is the stack
    try:
        remains.clear(folder)
        identity = Identity.of(folder, shape.brokers)
        identity.choose_ports(port_names(shape))
        identity.save(folder)
        blueprint = Blueprint(folder, identity, shape)
        blueprint.write_settings()
        want(folder, shape.recorders)
        return Supervisor(folder, blueprint).run()
    except Exception as error:
        traceback.print_exc()
        failure = {"process": "supervisor", "reason": str(error)}
        write_json(folder.status, stopped() | {"supervisor": os.getpid(), "failure": failure})
        return 3


def stopped() -> dict[str, Any]:
    """Return the status of a stack that does not run."""
    urls = dict.fromkeys(
        ("api", "console", "postgres", "redis", "kafka", "connect", *monitoring.PROGRAMS)
    )
    return {
        "state": "stopped",
        "urls": urls,
        "supervisor": None,
        "shape": None,
        "failure": None,
        "processes": [],
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
