"""Failpoints: named places on the path where a test breaks the process that comes by.

    failpoints.hit("after_append", lost=LogUnavailable("the report was dropped"))

Off unless `failpoints.folder` is set: then a file in it named after a point arms that point,
once, for the first process that comes by; `<point>@<role>` arms it for one kind of process.
The file's words say what happens there:

    kill            the process kills itself (SIGKILL)
    pause SECONDS   the whole process stands still, its libraries' threads too (SIGSTOP)
    raise           an unexpected error, FailpointRaised
    drop            the reply of the step is lost: the error that the step's own caller would
                    see if the connection had broken after the work was done

The process that takes the file renames it to `<file>.taken-<pid>` before it acts: that is the
proof that the fault has hit, and no successor of a killed process meets the same point again.
"""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

PAUSE_SECONDS_MAX = 600.0


class Action(StrEnum):
    """What an armed failpoint does."""

    KILL = "kill"
    PAUSE = "pause"
    RAISE = "raise"
    DROP = "drop"


class FailpointRaised(Exception):
    """An unexpected error, on purpose; no code expects it."""


# Every point: the processes that come by, and what has happened when they are there.
POINTS: Mapping[str, str] = MappingProxyType(
    {
        # api: a claim
        "before_admit": "api: a batch is about to be sent to the gate",
        "after_admit": "api: the gate has given places, nothing is appended",
        "before_append": "api: a record is about to be handed to the producer",
        "after_append": "api: the producer has the record, no report has come",
        "after_acknowledgement": "api: the broker has the record, nobody was answered",
        "after_answer": "api: everybody of the batch was answered",
        "before_cancel": "api: a batch that was not appended is about to be cancelled",
        "after_cancel": "api: a batch was cancelled, nobody was answered",
        # recorder; the sweeper and the rebuild record through the same code
        "after_poll": "recorder: records are in hand, nothing is recorded",
        "after_lock": "recorder, sweeper: the campaigns are locked, the epochs not read",
        "after_epochs": "recorder, sweeper: locks and epochs are in hand, nothing is written",
        "after_insert": "recorder, sweeper: rows of one campaign are in, not committed",
        "before_commit": "recorder, sweeper: all of the transaction is done but its commit",
        "after_commit": "recorder, sweeper: rows are committed, offsets and settled bits are not",
        "after_quarantine": "recorder, sweeper: a refused claim was set aside, not committed",
        "before_offsets": "recorder: offsets are about to be committed",
        "after_offsets": "recorder: offsets are committed, settled bits are not written",
        "after_settle": "recorder: settled bits are written",
        # sweeper
        "after_mark": "sweeper: the journals' ends and the log's ends were read",
        "after_journal": "sweeper: claims that are due are in hand, nothing is recorded",
        "after_sweep": "sweeper: claims that were due are recorded, not settled",
        "before_release": "sweeper: changes and cancelled users are about to be mirrored",
        "after_release": "sweeper: changes are mirrored, cancelled users released",
        "before_trim": "sweeper: a journal is about to be trimmed",
        "before_publish": "sweeper: dead letters are about to be published",
        "after_publish": "sweeper: brokers have dead letters, the table does not say so",
        # relay
        "after_take": "relay: rows of the outbox are in hand, nothing is published",
        "after_emit": "relay: the brokers have the events, the outbox does not say so",
        "before_note": "relay: the outbox is done with, not committed",
        "after_note": "relay: the outbox is done with",
        # operators: the console, `firstcome dead-letters`
        "before_redrive": "console, cli: a redrive is all done but its commit",
        "after_redrive": "console, cli: a redrive is committed, nobody was told",
        "before_discard": "console, cli: a discard is all done but its commit",
        "after_discard": "console, cli: a discard is committed, nobody was told",
        # rebuild: within the sweeper, or `firstcome rebuild`
        "after_shut": "rebuild: gates are shut",
        "after_wait": "rebuild: D has passed, the log's ends were read",
        "after_drain": "rebuild: recorders have reached the log's ends",
        "after_survivors": "rebuild: what a surviving journal knew is recorded",
        "before_epoch": "rebuild: holes are cancelled and the epoch is ended, not committed",
        "after_epoch": "rebuild: the next epoch has begun in the database",
        "before_switch": "rebuild: the new keys are loaded, the gate is shut",
        "after_switch": "rebuild: the gate is open, the old keys are there",
        "after_unlink": "rebuild: the old keys are gone",
    }
)


class _Watched(NamedTuple):
    folder: Path
    role: str


_watched: _Watched | None = None


def watch(folder: Path | None, role: str) -> None:
    """Let this process, of this kind, look into the folder. None: every point is off."""
    global _watched
    _watched = None if folder is None else _Watched(folder, role)


def hit(point: str, *, lost: Exception) -> None:
    """Do what the point is armed with, if anything. `lost`: what `drop` raises here."""
    if _watched is not None:
        _look(_watched, point, lost)


def arm(folder: Path, point: str, action: str, *, role: str | None = None) -> Path:
    """Arm a point and return its file. Raises ValueError for what is no point or no action."""
    if point not in POINTS:
        raise ValueError(f"no failpoint {point!r}: one of {', '.join(POINTS)}")
    _parsed(action)
    folder.mkdir(parents=True, exist_ok=True)
    armed = folder / (f"{point}@{role}" if role else point)
    fresh = armed.with_name(f".{armed.name}.new")
    fresh.write_text(action)
    fresh.rename(armed)
    return armed


def disarm(folder: Path) -> list[str]:
    """Take back whatever no process has taken; return the files' names."""
    names = [each.name for each in armed(folder)]
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    return names


def armed(folder: Path) -> list[Path]:
    """Return the files that wait for a process."""
    waiting = [each for each in _files(folder) if ".taken-" not in each.name]
    return [each for each in waiting if each.name.partition("@")[0] in POINTS]


def taken(folder: Path) -> list[Path]:
    """Return the proofs: one file per fault that has hit, named `<point>[@<role>].taken-<pid>`."""
    return [each for each in _files(folder) if ".taken-" in each.name]


def proofs(folder: Path) -> set[tuple[str, int]]:
    """Return of each proof its name and when its fault was armed (ns since 1970).

    By name alone nobody sees that a process has taken the same fault once more.
    """
    return {(each.name, each.stat().st_mtime_ns) for each in taken(folder)}


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _look(watched: _Watched, point: str, lost: Exception) -> None:
    for name in (f"{point}@{watched.role}", point):
        token = watched.folder / name
        proof = watched.folder / f"{name}.taken-{os.getpid()}"
        try:
            token.rename(proof)
        except OSError:
            continue
        _act(*_parsed(proof.read_text()), point, lost)


def _parsed(words: str) -> tuple[Action, float]:
    action, _, seconds = words.strip().partition(" ")
    pause = float(seconds) if seconds else 0.0
    if not 0 <= pause <= PAUSE_SECONDS_MAX:
        raise ValueError(f"a failpoint pauses 0 to {PAUSE_SECONDS_MAX:g} s, not {seconds!r}")
    return Action(action), pause


def _act(action: Action, seconds: float, point: str, lost: Exception) -> None:
    if action is Action.KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    elif action is Action.PAUSE:
        _stand_still(seconds)
    elif action is Action.RAISE:
        raise FailpointRaised(f"failpoint {point}")
    else:
        raise lost


def _stand_still(seconds: float) -> None:
    """Stop this process with all its threads: a sleep would let librdkafka's keep its place."""
    pid = os.getpid()
    script = f"kill -STOP {pid}; sleep {seconds}; kill -CONT {pid}"
    subprocess.run(["/bin/sh", "-c", script], check=False)
