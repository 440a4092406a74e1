"""Faults at failpoints: a process dies, pauses, errs or loses a reply at a named place.

A point that nobody comes by within its time is taken back and does not count. The points of a
rebuild are met by ending Redis as well.
"""

import contextlib
import signal
from functools import partial
from pathlib import Path
from random import Random

from firstcome import failpoints
from firstcome.drill.endings import Ended
from firstcome.drill.eventually import NotSeen, eventually
from firstcome.drill.faults import Fault, Missed, Move
from firstcome.drill.processes import RESTART_SECONDS, Processes
from firstcome.settings import RelayMode

TAKEN_SECONDS = 10.0
REBUILD_SECONDS = 40.0
# What every claim passes, or every tick of the sweeper; the others need another fault first.
BUSY = {
    "api": (
        *("before_admit", "after_admit", "before_append", "after_append"),
        *("after_acknowledgement", "after_answer"),
    ),
    "recorder": (
        *("after_poll", "after_lock", "after_epochs", "after_insert", "before_commit"),
        *("after_commit", "before_offsets", "after_offsets", "after_settle"),
    ),
    "sweeper": ("after_mark", "before_trim"),
    "relay": ("after_take", "after_emit", "before_note", "after_note"),
}
# Beside Debezium a relay publishes nothing: it notes what the topic tells.
BESIDE_DEBEZIUM = ("before_note", "after_note")
REBUILDING = (
    *("after_shut", "after_wait", "after_drain", "after_survivors", "before_epoch"),
    *("after_epoch", "before_switch", "after_switch", "after_unlink"),
)


class Armed:
    """One point, armed for one kind of process."""

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        armed: tuple[str, str, str],
        patience_seconds: float = TAKEN_SECONDS,
    ) -> None:
        """`armed`: the point, the role, and what shall happen there."""
        self._processes = processes
        self._folder = folder
        self._point, self._role, self._words = armed
        self._patience_seconds = patience_seconds

    def arm(self) -> None:
        """Let the next process that comes by break."""
        self._before = failpoints.proofs(self._folder)
        failpoints.arm(self._folder, self._point, self._words, role=self._role)

    def inject(self) -> str:
        """Arm it and wait until it has hit. Raises Missed."""
        self.arm()
        return self.await_taken()

    def await_taken(self) -> str:
        """Wait until a process has taken it; return the evidence. Raises Missed."""
        try:
            taken = eventually(
                f"a {self._role} comes by {self._point}",
                lambda: [
                    name
                    for name, _ in failpoints.proofs(self._folder) - self._before
                    if name.startswith(f"{self._point}@")
                ],
                seconds=self._patience_seconds,
            )
        except NotSeen as error:
            raise Missed(str(error)) from error
        # Whoever is killed is restarted, and who meets an unexpected error may end himself.
        for name in self._processes.names(self._role):
            self._processes.allow(name)
        return self._processes.note(f"{taken[0]}: {self._words}")

    def heal(self) -> str:
        """Take it back if nobody came; return when every process of the role works."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{self._point}@{self._role}").unlink()
        eventually(
            f"every {self._role} works",
            lambda: [self._processes.named(name) for name in self._processes.names(self._role)],
            lambda seen: all(each["state"] == "ready" for each in seen),
            seconds=RESTART_SECONDS,
        )
        return f"every {self._role} works"


class BrokenRebuild:
    """Redis dies, and the rebuild that follows breaks at one of its steps."""

    def __init__(self, redis: Ended, point: Armed) -> None:
        self._redis = redis
        self._point = point

    def inject(self) -> str:
        """Arm the point, end Redis and start it again, and wait for the rebuild."""
        self._point.arm()
        try:
            ended = self._redis.inject()
        finally:
            self._redis.heal()
        return f"{ended}; {self._point.await_taken()}"

    def heal(self) -> str:
        """Return when the sweeper works; another rebuild begins by itself."""
        return self._point.heal()


def moves(processes: Processes, folder: Path, relay: RelayMode = "polling") -> list[Move]:
    """Return each action for each kind of process; the fault's own chance draws the point."""
    busy = {**BUSY, "relay": BESIDE_DEBEZIUM} if relay == "debezium" else BUSY
    found = []
    for action in failpoints.Action:
        kind = f"failpoint {action}"
        lasts = action is failpoints.Action.PAUSE
        for role, names in busy.items():
            make = partial(_armed, processes, folder, role, names, action)
            found.append(Move(kind, role, make, lasts, weight=0.7))
        make = partial(_broken_rebuild, processes, folder, action)
        found.append(Move(kind, "redis.sweeper", make, lasts, weight=0.7))
    return found


def _armed(
    processes: Processes,
    folder: Path,
    role: str,
    names: tuple[str, ...],
    action: failpoints.Action,
    chance: Random,
    seconds: float,
) -> Fault:
    point = chance.choice(names)
    return Armed(processes, folder, (point, role, _words(action, seconds)))


def _broken_rebuild(
    processes: Processes,
    folder: Path,
    action: failpoints.Action,
    chance: Random,
    seconds: float,
) -> Fault:
    armed = (chance.choice(REBUILDING), "sweeper", _words(action, seconds))
    redis = Ended(processes, "redis", signal.SIGKILL)
    return BrokenRebuild(redis, Armed(processes, folder, armed, REBUILD_SECONDS))


def _words(action: failpoints.Action, seconds: float) -> str:
    return f"{action} {max(seconds, 0.5):g}" if action is failpoints.Action.PAUSE else str(action)
