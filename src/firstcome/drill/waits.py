"""How long promised claims waited until their owners saw them final: law L3, from the history.

Pure. Each claim is of one class, by the faults that were loose between its promise and its end:

    NO_FAULT   none near it: p99 within QUIET_P99_SECONDS
    ONE_FAULT  at most one, of at most SHORT_SECONDS: within FAULT_SECONDS of its promise
    LONG       a longer one, and maybe others: within LONG_SECONDS of its end
    SEVERAL    several short ones: FAULT_SECONDS, and as long as any of them was loose

A fault that never took effect excuses nobody; but what was promised near it, harmed or not, is no
measure of a world without faults, and is held to the bound of one fault.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from firstcome.drill.history import FINAL, STATUS, Heard

QUIET_P99_SECONDS = 2.0
FAULT_SECONDS = 60.0  # under one fault of at most SHORT_SECONDS
SHORT_SECONDS = 30.0
LONG_SECONDS = 120.0  # after the end of a longer one
# What a fault leaves behind is over by then: the sweeper's age and ticks.
AFTERMATH_SECONDS = 30.0
LATE_SHOWN_MAX = 10

NO_FAULT = f"no fault (p99 <= {QUIET_P99_SECONDS:g} s)"
ONE_FAULT = f"one fault of <= {SHORT_SECONDS:g} s (<= {FAULT_SECONDS:g} s)"
LONG = f"a longer fault, from its end (<= {LONG_SECONDS:g} s)"
SEVERAL = f"several short faults (<= {FAULT_SECONDS:g} s and their own time)"


class Window(NamedTuple):
    """From the moment a fault was let loose until it was healed; monotonic seconds."""

    began: float
    healed: float
    took_effect: bool = True

    @property
    def is_long(self) -> bool:
        """Whether it lasted for longer than one fault may that is out of sight in a minute."""
        return self.healed - self.began > SHORT_SECONDS


class Wait(NamedTuple):
    """One promised claim: when its 202 came, and when its owner first saw it final."""

    user: str
    promised: float
    final: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.final - self.promised


class Judged(NamedTuple):
    """A wait with its class, and the seconds that the bound of its class is about."""

    wait: Wait
    kind: str
    counted: float
    bound: float

    @property
    def is_late(self) -> bool:
        """Whether the bound was not kept; that of NO_FAULT is for all of them together."""
        return self.kind != NO_FAULT and self.counted > self.bound


class Waits(NamedTuple):
    """All of them, in the order in which they became final."""

    judged: list[Judged]

    def of(self, kind: str) -> list[Judged]:
        """Return those of one class."""
        return [each for each in self.judged if each.kind == kind]

    def longest(self, count: int = LATE_SHOWN_MAX) -> list[Wait]:
        """Return those that took the longest, in the order of their promises."""
        waits = [each.wait for each in self.judged]
        last = sorted(waits, key=lambda wait: wait.seconds)[-count:]
        return sorted(last, key=lambda wait: wait.promised)

    def figures(self) -> dict[str, dict[str, float]]:
        """Return count, p50, p99 and the longest of each class, in seconds of its bound."""
        return {
            kind: figures(each.counted for each in self.of(kind))
            for kind in (NO_FAULT, ONE_FAULT, LONG, SEVERAL)
        }


def waits(heard: Iterable[Heard], windows: Sequence[Window]) -> Waits:
    """Return how long each promise took; who never saw it final is not here, but undecided."""
    promised: dict[tuple[int, str], float] = {}
    seen: set[tuple[int, str]] = set()
    found = Waits([])
    for each in heard:
        place = (each.campaign_id, each.user)
        if each.is_promise:
            promised.setdefault(place, each.answered)
        elif each.act == STATUS and each.code in FINAL and place in promised and place not in seen:
            seen.add(place)
            # A status read may have been under way when the promise came.
            wait = Wait(each.user, promised[place], max(each.answered, promised[place]))
            found.judged.append(judged(wait, windows))
    return found


def judged(wait: Wait, windows: Sequence[Window]) -> Judged:
    """Return the class of a wait, by the faults that took effect while it lasted."""
    if is_quiet(wait, windows):
        return Judged(wait, NO_FAULT, wait.seconds, QUIET_P99_SECONDS)
    met = [
        window
        for window in windows
        if window.took_effect and window.began < wait.final and window.healed > wait.promised
    ]
    if ends := [window.healed for window in met if window.is_long]:
        # It may have been final before the fault was over.
        return Judged(wait, LONG, max(0.0, wait.final - max(ends)), LONG_SECONDS)
    if len(met) > 1:
        return Judged(wait, SEVERAL, wait.seconds, FAULT_SECONDS + loose_seconds(wait, met))
    return Judged(wait, ONE_FAULT, wait.seconds, FAULT_SECONDS)


def is_quiet(wait: Wait, windows: Sequence[Window]) -> bool:
    """Whether no fault was loose when it was promised, nor for long before, nor soon after."""
    return all(
        wait.promised < window.began - QUIET_P99_SECONDS
        or wait.promised > window.healed + AFTERMATH_SECONDS
        for window in windows
    )


def loose_seconds(wait: Wait, met: Sequence[Window]) -> float:
    """Return for how long at least one of these faults was loose while the wait lasted."""
    seconds, known = 0.0, wait.promised
    for window in sorted(met):
        until = min(window.healed, wait.final)
        seconds += max(0.0, until - max(window.began, known))
        known = max(known, until)
    return seconds


def violations(found: Waits) -> list[str]:
    """Return a sentence for each bound that was not kept."""
    said = []
    p99 = found.figures()[NO_FAULT]["p99"]
    if p99 > QUIET_P99_SECONDS:
        said.append(f"l3 in time: without faults p99 is {p99:.1f} s, not {QUIET_P99_SECONDS:g} s")
    late = [each for each in found.judged if each.is_late]
    said += [
        f"l3 in time: {each.wait.user} waited for {each.wait.seconds:.1f} s; "
        f"{each.kind}: {each.counted:.1f} s"
        for each in late[:LATE_SHOWN_MAX]
    ]
    if len(late) > LATE_SHOWN_MAX:
        said.append(f"l3 in time: and {len(late) - LATE_SHOWN_MAX} more")
    return said


def figures(found: Iterable[float]) -> dict[str, float]:
    """Return count, p50, p99 and the longest of some seconds; zeros for none."""
    seconds = sorted(found)
    if not seconds:
        return {"count": 0, "p50": 0.0, "p99": 0.0, "max": 0.0}
    return {
        "count": len(seconds),
        "p50": round(seconds[len(seconds) // 2], 3),
        "p99": round(seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))], 3),
        "max": round(seconds[-1], 3),
    }
