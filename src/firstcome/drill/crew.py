"""Faults of numbers: more recorders for a while, a rebalance in mid-batch, a second sweeper.

The additional processes are the same `firstcome serve ROLE` as the stack's own, with its settings;
they end by SIGTERM, and at the latest with the harness. No other fault ends them: what kills a kind
of process is never loose beside a fault of its numbers. So one that ends by itself, or does not end
when it is asked to, breaks the laws of its kind, and nobody would restart it to say so.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

from firstcome import failpoints
from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import NotSeen, eventually
from firstcome.drill.faults import Fault, Misbehaved, Missed, Move
from firstcome.local.blueprint import says_ready
from firstcome.local.leash import leashed
from firstcome.local.process import Life

SERVE = (sys.executable, "-m", "firstcome", "serve")
READY_SECONDS = 30.0
END_SECONDS = 30.0
MANY = 5  # beside the stack's own
HELD_SECONDS = 3.0


class Additional:
    """Processes of one role beside the stack's own."""

    def __init__(
        self,
        stack: RunningStack,
        role: str,
        count: int,
        *,
        command: Sequence[str] = SERVE,
        end_seconds: float = END_SECONDS,
    ) -> None:
        """`command` gets the role as its last word."""
        self._command = command
        self._end_seconds = end_seconds
        self._stack = stack
        self._role = role
        self._count = count
        self._running: list[tuple[subprocess.Popen[bytes], Life]] = []

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
        """End them in an orderly way. Raises Misbehaved for one that did not end as it should."""
        # In this order: whoever has ended before he was asked to did so by himself.
        found = [
            f"{self._role} ended by itself: {code}" for code in self._codes() if code is not None
        ]
        for process, _ in self._running:
            process.send_signal(signal.SIGTERM)
        if not found:
            found = [said for each in self._running if (said := self._wrong_end(*each))]
        for process, _ in self._running:
            process.kill()
            process.wait()
        if found:
            raise Misbehaved(f"additional {'; '.join(found)}")
        return f"{len(self._running)} {self._role} ended"

    def _codes(self) -> list[int | None]:
        return [process.poll() for process, _ in self._running]

    def _wrong_end(self, process: "subprocess.Popen[bytes]", life: Life) -> str:
        """Wait for the end of one that was asked to; return what is wrong with it."""
        try:
            code = process.wait(self._end_seconds)
        except subprocess.TimeoutExpired:
            return f"{self._role} ignored SIGTERM for {self._end_seconds:g} s"
        # One that was not ready may not have known yet what SIGTERM asks for.
        if code == -signal.SIGTERM and not says_ready(life):
            return ""
        return f"{self._role} ended with {code} when it was asked to" if code else ""

    def _start(self, number: int) -> Life:
        log = self._stack.state / "logs" / f"additional-{self._role}-{number}.log"
        environment = self._stack.environment | {
            "FIRSTCOME_CONFIG": str(self._stack.state / "settings.toml"),
            "FIRSTCOME_LOGS__FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }
        with log.open("ab") as output:
            offset = output.tell()
            process = subprocess.Popen(
                leashed([*self._command, self._role]),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        life = Life(process.pid, log, offset)
        self._running.append((process, life))
        return life


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
