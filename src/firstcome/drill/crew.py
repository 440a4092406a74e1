"""Faults of numbers: more recorders for a while, a rebalance in mid-batch, a second sweeper.

The additional processes are the same `firstcome serve ROLE` as the stack's own, with its settings;
they end by SIGTERM, and at the latest with the harness.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from firstcome import failpoints
from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import NotSeen, eventually
from firstcome.drill.faults import Fault, Missed, Move
from firstcome.local.blueprint import says_ready
from firstcome.local.leash import leashed
from firstcome.local.process import Life

READY_SECONDS = 30.0
END_SECONDS = 30.0
MANY = 5  # beside the stack's own
HELD_SECONDS = 3.0


class Additional:
    """Processes of one role beside the stack's own."""

    def __init__(self, stack: RunningStack, role: str, count: int) -> None:
        self._stack = stack
        self._role = role
        self._count = count
        self._running: list[subprocess.Popen[bytes]] = []

    def inject(self) -> str:
        """Start them; return when all say that they are ready."""
        lives = [self._start(number) for number in range(1, self._count + 1)]
        try:
            eventually(
                f"{self._count} more {self._role} are ready",
                lambda: [life.pid for life in lives if says_ready(life)],
                lambda ready: len(ready) == len(lives),
                seconds=READY_SECONDS,
                every=0.2,
            )
        except NotSeen as error:
            raise Missed(str(error)) from error
        return f"{self._count} more {self._role} ready: pids {[life.pid for life in lives]}"

    def heal(self) -> str:
        """End them in an orderly way. Raises Missed for one that did not end as it should."""
        for each in self._running:
            each.send_signal(signal.SIGTERM)
        codes = [self._ended(each) for each in self._running]
        if any(codes):
            raise Missed(f"additional {self._role} ended with {codes}")
        return f"{len(codes)} {self._role} ended"

    def _start(self, number: int) -> Life:
        log = self._stack.state / "logs" / f"additional-{self._role}-{number}.log"
        environment = self._stack.environment | {
            "FIRSTCOME_CONFIG": str(self._stack.state / "settings.toml"),
            "FIRSTCOME_LOGS__FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "firstcome", "serve", self._role]
        with log.open("ab") as output:
            offset = output.tell()
            process = subprocess.Popen(
                leashed(command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._running.append(process)
        return Life(process.pid, log, offset)

    def _ended(self, process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


class Rebalance:
    """A recorder joins while another one stands still in the middle of a batch."""

    def __init__(self, stack: RunningStack, folder: Path, point: str) -> None:
        self._folder = folder
        self._point = point
        self._another = Additional(stack, "recorder", 1)

    def inject(self) -> str:
        """Hold a recorder up, and let another one join."""
        before = failpoints.proofs(self._folder)
        failpoints.arm(self._folder, self._point, f"pause {HELD_SECONDS:g}", role="recorder")
        joined = self._another.inject()
        taken = failpoints.proofs(self._folder) - before
        if not taken:
            raise Missed(f"no recorder came by {self._point}")
        return f"{min(taken)[0]}; meanwhile {joined}"

    def heal(self) -> str:
        """Let the other one go again."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{self._point}@recorder").unlink()
        return self._another.heal()


def moves(stack: RunningStack, folder: Path) -> list[Move]:
    """Return what can be done with numbers; `folder` is that of the failpoints."""
    return [
        Move("scale 1-6-1", "recorder", _additional(stack, "recorder", MANY), weight=2),
        Move("second", "sweeper", _additional(stack, "sweeper", 1), weight=2),
        Move("second", "relay", _additional(stack, "relay", 1)),
        Move("rebalance", "recorder", partial(_rebalance, stack, folder), weight=2),
    ]


def _additional(stack: RunningStack, role: str, count: int) -> Callable[[Random, float], Fault]:
    def make(chance: Random, seconds: float) -> Fault:
        return Additional(stack, role, count)

    return make


def _rebalance(stack: RunningStack, folder: Path, chance: Random, seconds: float) -> Fault:
    point = chance.choice(("after_poll", "after_insert", "before_commit", "after_commit"))
    return Rebalance(stack, folder, point)
