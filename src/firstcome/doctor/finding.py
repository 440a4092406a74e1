"""One finding of the doctor: a subject, how it is, and what to do about it.

An OK finding says what was seen. A WARNING costs speed or a promise under faults; a FAILURE
breaks a promise or keeps a process from starting; AWAY means that an engine gave no answer.
"""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    AWAY = "away"


class Finding(NamedTuple):
    """What was seen, what it means, and what to do (empty when all is well)."""

    subject: str
    state: State
    seen: str
    meaning: str = ""
    advice: str = ""


def ok(subject: str, seen: str) -> Finding:
    """All is well."""
    return Finding(subject, State.OK, seen)


def warning(subject: str, seen: str, meaning: str, advice: str) -> Finding:
    """It works, at a cost."""
    return Finding(subject, State.WARNING, seen, meaning, advice)


def failure(subject: str, seen: str, meaning: str, advice: str) -> Finding:
    """A promise is broken, or a process cannot start."""
    return Finding(subject, State.FAILURE, seen, meaning, advice)


def wanted(subject: str, found: object, accepted: tuple[str, ...], problem: Finding) -> Finding:
    """Return `problem` unless a setting of an engine has one of the accepted values."""
    return ok(subject, str(found)) if str(found) in accepted else problem


def clock(subject: str, skew_seconds: float, allowed_seconds: float) -> Finding:
    """Judge how far an engine's clock is from this machine's."""
    seen = f"{skew_seconds:+.3f} s from this machine's clock"
    if abs(skew_seconds) > allowed_seconds:
        return failure(
            subject,
            seen,
            "campaigns open and close by Redis' clock, ages are judged by the others'",
            "let one time service (NTP) set all clocks",
        )
    if abs(skew_seconds) > 1:
        return warning(subject, seen, "opening times are off by as much", "check the NTP service")
    return ok(subject, seen)
