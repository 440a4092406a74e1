"""How far the recorders are behind the log: in records, and in seconds.

Kafka tells offsets, not ages. So the ends of the log are remembered with the moment at which they
were seen: the oldest record that is not done was there when an end beyond it was first seen. That
is its age at least; right after this process has begun, less than its age.
"""

from collections import deque
from collections.abc import Callable, Mapping
from threading import Lock
from time import monotonic
from typing import NamedTuple

MARKS_MAX = 3600  # an hour of looks, one a second
MARK_SECONDS = 0.9  # looks that follow each other sooner need no mark of their own

Offsets = Mapping[int, int]


class Lag(NamedTuple):
    """Of all partitions together."""

    records: int
    seconds: float


class LagWatch:
    """Kept for as long as somebody watches; may be used by several threads at once."""

    def __init__(
        self,
        ends: Callable[[], Offsets],
        recorded: Callable[[], Offsets],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`ends`, `recorded`: offsets by partition; both may raise LogUnavailable."""
        self._ends = ends
        self._recorded = recorded
        self._clock = clock
        self._marks: deque[tuple[float, Offsets]] = deque(maxlen=MARKS_MAX)
        self._lock = Lock()

    def read(self) -> Lag:
        """Look once. Raises LogUnavailable."""
        recorded, ends, now = self._recorded(), self._ends(), self._clock()
        behind = {
            partition: end - recorded.get(partition, 0)
            for partition, end in ends.items()
            if end > recorded.get(partition, 0)
        }
        with self._lock:
            if not self._marks or now - self._marks[-1][0] >= MARK_SECONDS:
                self._marks.append((now, ends))
            while self._marks and not _is_beyond(self._marks[0][1], recorded):
                self._marks.popleft()
            oldest = self._marks[0][0] if self._marks and behind else now
        return Lag(sum(behind.values()), now - oldest)


def _is_beyond(ends: Offsets, recorded: Offsets) -> bool:
    """Whether a record that was in the log then is not done yet."""
    return any(end > recorded.get(partition, 0) for partition, end in ends.items())
