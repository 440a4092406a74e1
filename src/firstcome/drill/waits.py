"""How long promised claims waited until their owners saw them final: law L3, from the history.

Pure. A claim is quiet if no fault was near it; any other was promised under a fault, or soon
after one. The bounds are those of law L3.
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


class Window(NamedTuple):
    """From the moment a fault was let loose until it was healed; monotonic seconds."""

    began: float
    healed: float


class Wait(NamedTuple):
    """One promised claim: when its 202 came, and when its owner first saw it final."""

    user: str
    promised: float
    final: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.final - self.promised


class Waits(NamedTuple):
    """All of them, apart for no fault and under faults."""

    quiet: list[Wait]
    faulted: list[Wait]

    def longest(self, count: int = LATE_SHOWN_MAX) -> list[Wait]:
        """Return those that took the longest, in the order of their promises."""
        last = sorted([*self.quiet, *self.faulted], key=lambda wait: wait.seconds)[-count:]
        return sorted(last, key=lambda wait: wait.promised)

    def figures(self) -> dict[str, dict[str, float]]:
        """Return count, p50, p99 and the longest, in seconds."""
        return {
            "no fault": figures(wait.seconds for wait in self.quiet),
            "under faults": figures(wait.seconds for wait in self.faulted),
        }


def waits(heard: Iterable[Heard], windows: Sequence[Window]) -> Waits:
    """Return how long each promise took; who never saw it final is not here, but undecided."""
    promised: dict[tuple[int, str], float] = {}
    seen: set[tuple[int, str]] = set()
    found = Waits([], [])
    for each in heard:
        place = (each.campaign_id, each.user)
        if each.is_promise:
            promised.setdefault(place, each.answered)
        elif each.act == STATUS and each.code in FINAL and place in promised and place not in seen:
            seen.add(place)
            # A status read may have been under way when the promise came.
            wait = Wait(each.user, promised[place], max(each.answered, promised[place]))
            (found.quiet if is_quiet(wait, windows) else found.faulted).append(wait)
    return found


def is_quiet(wait: Wait, windows: Sequence[Window]) -> bool:
    """Whether no fault was loose when it was promised, nor for long before, nor soon after."""
    return all(
        wait.promised < window.began - QUIET_P99_SECONDS
        or wait.promised > window.healed + AFTERMATH_SECONDS
        for window in windows
    )


def violations(found: Waits, windows: Sequence[Window]) -> list[str]:
    """Return a sentence for each bound that was not kept."""
    said = []
    p99 = found.figures()["no fault"]["p99"]
    if p99 > QUIET_P99_SECONDS:
        said.append(f"l3 in time: without faults p99 is {p99:.1f} s, not {QUIET_P99_SECONDS:g} s")
    late = [wait for wait in found.faulted if wait.final > deadline(wait, windows)]
    said += [
        f"l3 in time: {wait.user} waited for {wait.seconds:.1f} s" for wait in late[:LATE_SHOWN_MAX]
    ]
    if len(late) > LATE_SHOWN_MAX:
        said.append(f"l3 in time: and {len(late) - LATE_SHOWN_MAX} more")
    return said


def deadline(wait: Wait, windows: Sequence[Window]) -> float:
    """Return until when it had to be final: each fault on its way grants the time of its own."""
    latest = wait.promised + FAULT_SECONDS
    for window in windows:
        if window.began < wait.final and window.healed > wait.promised:
            is_short = window.healed - window.began <= SHORT_SECONDS
            latest = max(latest, window.healed + (FAULT_SECONDS if is_short else LONG_SECONDS))
    return latest


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
