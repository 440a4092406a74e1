"""One supervised process: started, watched until it is ready, restarted when it dies.

A state machine that never blocks: the supervisor calls `poll()` many times a second. A restart
waits 0.2 s, doubled with each quick death to 10 s at most; 30 s of life make it 0.2 s again.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firstcome.local.leash import leashed

PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX, LIFE_SECONDS = 0.2, 10.0, 30.0
FAULT_SECONDS = 2.0  # between two looks for a fault
LOG_BYTES_MAX = 20_000_000


@dataclass(frozen=True)
class Life:
    """One run of a process: what a readiness probe may look at."""

    pid: int
    log: Path
    log_offset: int


@dataclass(frozen=True)
class Spec:
    """How to run one process. `prepare` may block (it gets a thread) and must be repeatable.

    `fault` says why a process that lives is of no use; it is killed then, and so started anew.
    """

    name: str
    role: str
    command: list[str]
    is_ready: Callable[[Life], bool] = lambda life: True
    fault: Callable[[Life], str | None] = lambda life: None
    prepare: Callable[[], None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    ready_seconds: float = 120.0
    stop_seconds: float = 20.0
    inherited: tuple[int, ...] = ()
    user: str = ""
    once: bool = False
    metrics_url: str | None = None  # where it tells what it does, for Prometheus


def pause_seconds(quick_deaths: int) -> float:
    """Return how long to wait before the restart after so many quick deaths in a row (>= 1)."""
    return float(min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2 ** min(quick_deaths - 1, 10)))


class Process:
    """A Spec at work. `state` is stopped, starting, ready, backing-off or stopping."""

    def __init__(self, spec: Spec, log: Path) -> None:
        """`log` gets what the process writes to its standard output and error."""
        self.spec = spec
        self.log = log
        self.state = "stopped"
        self.restarts = 0
        self.deaths_unready = 0
        self.last_words = ""
        self._was_ready = False
        self._quick_deaths = 0
        self._retry_at = 0.0
        self._begun_at = 0.0
        self._looked_at = 0.0
        self._stopping_at = 0.0
        self._fault: str | None = None
        self._preparation: _Preparation | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._life: Life | None = None

    @property
    def pid(self) -> int | None:
        """The pid while it runs."""
        return self._child.pid if self._child else None

    @property
    def done(self) -> bool:
        """Whether it was to run once, and has."""
        return self.spec.once and self.state == "stopped"

    @property
    def idle(self) -> bool:
        """Whether only the death of the child can change its state."""
        return self.state in ("ready", "stopped")

    def start(self, now: float) -> None:
        """Begin: prepare, then run."""
        self.state = "starting"
        self._begun_at = now
        self._preparation = _Preparation(self.spec)

    def stop(self, now: float) -> None:
        """Let it end in its own time, and by force after that; `poll` until it is stopped."""
        self.state = "stopping"
        self._stopping_at = now
        self.signal(self.spec.stop_signal)

    def poll(self, now: float) -> None:
        """Move to the next state if something has happened; `now` is monotonic seconds."""
        if self.state == "stopping":
            if not self.gone() and now - self._stopping_at > self.spec.stop_seconds:
                self.signal(signal.SIGKILL)
            return
        if self.state == "backing-off" and now >= self._retry_at:
            self.restarts += 1
            self.start(now)
        if self._preparation is not None:
            self._await_preparation(now)
        elif self._child is not None:
            self._watch(now)

    def overdue(self, now: float) -> bool:
        """Whether it has run for too long without becoming ready."""
        return (
            self.state == "starting"
            and self._child is not None
            and now - self._begun_at > self.spec.ready_seconds
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process is gone."""
        if self._child is not None:
            self._child.send_signal(number)

    def gone(self) -> bool:
        """Whether it has ended after a stop; never restarts it."""
        self._preparation = None
        if self._child is not None and self._child.poll() is None:
            return False
        self._child = None
        self.state = "stopped"
        return True

    def _await_preparation(self, now: float) -> None:
        assert self._preparation is not None  # noqa: S101 - the caller looked
        if self._preparation.is_alive():
            return
        fault, self._preparation = self._preparation.fault, None
        if fault is None:
            self._spawn(now)
            return
        _note(self.log, fault)
        self._died(now, fault)

    def _spawn(self, now: float) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        with self.log.open("ab") as log:
            offset = log.tell()
            self._child = subprocess.Popen(
                leashed(self.spec.command, self.spec.death_signal, self.spec.user),
                env=self.spec.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self.spec.inherited,
            )
        self._life = Life(self._child.pid, self.log, offset)
        self._begun_at = self._looked_at = now
        self._fault = None

    def _watch(self, now: float) -> None:
        assert self._child is not None  # noqa: S101 - the caller looked
        assert self._life is not None  # noqa: S101 - made with the child
        code = self._child.poll()
        if code is not None:
            self._child = None
            if self.spec.once and code == 0:
                self.state = "stopped"
            else:
                self._died(now, self._fault or _ending(code))
            return
        if self.state == "starting" and not self.spec.once and self.spec.is_ready(self._life):
            self.state = "ready"
            self._was_ready = True
        if now - self._looked_at >= FAULT_SECONDS:
            self._looked_at = now
            self._fault = self.spec.fault(self._life)
            if self._fault is not None:
                self.signal(signal.SIGKILL)

    def _died(self, now: float, last_words: str) -> None:
        self.last_words = last_words
        if not self._was_ready:
            self.deaths_unready += 1
        quick = now - self._begun_at < LIFE_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if quick else 1
        self._retry_at = now + pause_seconds(self._quick_deaths)
        self.state = "backing-off"


class _Preparation(threading.Thread):
    """Runs a Spec's preparation; a daemon, so that a stop does not wait for a download."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(name=f"prepare {spec.name}", daemon=True)
        self.fault: str | None = None
        self._prepare = spec.prepare
        self.start()

    def run(self) -> None:
        try:
            self._prepare()
        except Exception as error:
            self.fault = f"cannot be prepared: {error}"


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _note(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(line + "\n")
