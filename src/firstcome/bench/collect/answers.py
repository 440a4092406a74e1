"""Answers a second, by kind, as the generator tells its progress."""

import threading

from firstcome.bench.collect.collector import Rates, Values
from firstcome.bench.drop import Progress


class AnswersHeard:
    """A source that is told its news by the drop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, float] = {}
        self._rates = Rates()

    def note(self, progress: Progress) -> None:
        """Take the newest counts; stages without counts say nothing."""
        if progress.requests:
            with self._lock:
                self._counts = {
                    "served": float(progress.accepted),
                    "refused": float(progress.refused),
                    "overloaded": float(progress.overloaded),
                    "faults": float(progress.failed - progress.overloaded),
                }

    def read(self) -> Values:
        """Look once; nothing before the load began."""
        with self._lock:
            counts = self._counts
        rates = self._rates.since_last(counts)
        return {"requests_per_second": rates} if rates else {}

    def close(self) -> None:
        """Nothing is held."""
