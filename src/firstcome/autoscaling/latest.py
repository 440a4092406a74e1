"""What an autoscaler decided last, in a file that the console shows.

Beside its log and its metrics, which have no room for both a reason and a page. Written at each
look, so its age says whether one is at work; it needs no engine, and so tells as well why nothing
is done while one is away.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import time

import msgspec

from firstcome.autoscaling.decision import Decision, Kind
from firstcome.logs import get_logger

CHANGES_MAX = 10
QUIET = frozenset({Kind.KEEP, Kind.WAIT})  # no news for people
log = get_logger()


class Decided(msgspec.Struct, frozen=True):
    """A decision, and when."""

    at: float  # seconds since 1970
    decision: Decision


class Notice(msgspec.Struct, frozen=True):
    """What the file holds."""

    dry_run: bool
    last: Decided
    news: list[Decided] = []  # what was more than keeping and waiting, newest first


class Latest:
    """One autoscaler's side. For one thread."""

    def __init__(self, path: Path, *, dry_run: bool, clock: Callable[[], float] = time) -> None:
        """What an earlier one has left there goes on."""
        self._path = path
        self._dry_run = dry_run
        self._clock = clock
        before = notice_in(path)
        self._news = before.news if before else []

    def show(self, decision: Decision) -> None:
        """Replace the file in one step; a disk that is full keeps nobody from scaling."""
        decided = Decided(self._clock(), decision)
        if decision.kind not in QUIET and not self._is_told(decision):
            self._news = [decided, *self._news[: CHANGES_MAX - 1]]
        text = msgspec.json.encode(Notice(self._dry_run, decided, self._news))
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            new.write_bytes(text)
            new.replace(self._path)
        except OSError as error:
            log.warning("decision_not_shown", reason=str(error))
            with suppress(OSError):
                new.unlink(missing_ok=True)

    def _is_told(self, decision: Decision) -> bool:
        """Whether the newest news is the same one: blind for an hour is told once."""
        newest = self._news[0].decision if self._news else None
        return newest is not None and newest[:3] == decision[:3]


def notice_in(path: Path) -> Notice | None:
    """Return what a file says; None: there is none, or none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Notice)
    except (OSError, msgspec.DecodeError):
        return None
