"""One sample a second while a run is on, from every source that answers.

Runs on a thread of its own, in the process that measures. A source that fails is left out of
that sample and asked again at the next one: what cannot be seen never stops a run.
"""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from firstcome.bench.collect.samples import Sample
from firstcome.errors import FirstcomeError
from firstcome.logs import get_logger

INTERVAL_SECONDS = 1.0
log = get_logger()
Values = dict[str, dict[str, float]]  # metric -> label value -> value


class Source(Protocol):
    """Something to look at. Only the collector's thread asks it."""

    def read(self) -> Values:
        """Look once. Rates are since the last look, so the first one has none.

        Raises FirstcomeError when it cannot be seen now.
        """

    def close(self) -> None:
        """Let go of connections."""


class Collector:
    """A context manager: collects until it is left."""

    def __init__(
        self, sources: Sequence[Source], put: Callable[[Sample], None] = lambda sample: None
    ) -> None:
        """`put` gets every sample at once; it must not block."""
        self.samples: list[Sample] = []
        self._sources = sources
        self._put = put
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join()

    def look(self) -> Sample:
        """Take one sample."""
        values: Values = {}
        at = time.time()
        for source in self._sources:
            try:
                values |= source.read()
            except FirstcomeError:
                continue
            except Exception:
                log.exception("source_failed", source=type(source).__name__)
        return Sample(at, values)

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._left.wait(max(0.0, due - time.monotonic())):
                sample = self.look()
                self.samples.append(sample)
                self._put(sample)
                # A look that took too long costs samples, not their distance.
                due = max(due + INTERVAL_SECONDS, time.monotonic())
        finally:
            for source in self._sources:
                source.close()


class Rates:
    """Turns counters into rates a second, by the time between two looks."""

    def __init__(self) -> None:
        self._at = 0.0
        self._counts: dict[str, float] = {}

    def since_last(self, counts: dict[str, float]) -> dict[str, float]:
        """Return how much each counter grew a second; one seen for the first time is left out."""
        now = time.monotonic()
        seconds, self._at = now - self._at, now
        before, self._counts = self._counts, counts
        return {
            name: max(0.0, count - before[name]) / seconds
            for name, count in counts.items()
            if name in before
        }
