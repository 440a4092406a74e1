"""Brings samples to the stores, beside the run: a store that is away never disturbs it.

Each store has a short queue and a thread of its own, so a slow one delays nobody. A store that
is away gets its samples later; when the queue is full the oldest are dropped, and the run's notes
say how many. Nothing is lost to the run by that: its own record has every sample.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Condition, Thread

from firstcome.bench.collect.samples import Sample
from firstcome.bench.collect.stores import Store
from firstcome.errors import Refused, Unavailable

WAITING_MAX = 60  # samples, so a minute: longer gaps stay gaps
PAUSE_SECONDS = 1.0  # between two tries of a store that is away
CLOSE_SECONDS = 3.0  # for what is still waiting at the end: a request is over in two


class Feed:
    """All stores of one run. `put` never blocks and never raises."""

    def __init__(
        self,
        stores: Sequence[Store],
        labels: Mapping[str, str],
        waiting_max: int = WAITING_MAX,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """`labels`: those of every series: run, engine, scenario."""
        self._pipes = [_Pipe(store, dict(labels), waiting_max, pause_seconds) for store in stores]

    def put(self, sample: Sample) -> None:
        """Take a sample for all stores; returns at once."""
        for pipe in self._pipes:
            pipe.put(sample)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Give what is still waiting one last try, for no longer than that; may be repeated."""
        deadline = time.monotonic() + seconds
        for pipe in self._pipes:
            pipe.end()
        for pipe in self._pipes:
            pipe.join(max(0.0, deadline - time.monotonic()))

    def notes(self) -> list[str]:
        """Return one sentence for each store that did not confirm everything; after `close`."""
        return [note for pipe in self._pipes if (note := pipe.note())]


class _Pipe:
    """The way to one store: a queue, and the thread that empties it."""

    def __init__(
        self, store: Store, labels: Mapping[str, str], waiting_max: int, pause_seconds: float
    ) -> None:
        self._store, self._labels = store, labels
        self._waiting_max, self._pause_seconds = waiting_max, pause_seconds
        self._waiting: deque[Sample] = deque()
        self._changed = Condition()
        self._is_ending = False
        self._taken = self._confirmed = 0
        self._trouble = "no answer in time"
        self._thread = Thread(target=self._run, name=f"feed of {store.name}", daemon=True)
        self._thread.start()

    def put(self, sample: Sample) -> None:
        with self._changed:
            self._taken += 1
            self._waiting.append(sample)
            self._drop_oldest()
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._is_ending = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def note(self) -> str:
        with self._changed:
            missing = self._taken - self._confirmed
        if not missing:
            return ""
        return (
            f"{self._store.name} did not confirm {missing} of {self._taken} samples "
            f"({self._trouble}); the run's own record has them all"
        )

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._store.write(self._labels, batch)
            except Unavailable as error:
                self._trouble = str(error)
                if not self._keep(batch):
                    return
            except Refused as error:  # the same would be refused again
                self._trouble = str(error)
            else:
                with self._changed:
                    self._confirmed += len(batch)

    def _next(self) -> list[Sample]:
        """Wait for samples and take all of them; none means that the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ending)
            batch = list(self._waiting)
            self._waiting.clear()
            return batch

    def _keep(self, batch: list[Sample]) -> bool:
        """Put back what did not arrive, and pause; false when no time is left for another try."""
        with self._changed:
            if self._is_ending:
                return False
            self._waiting.extendleft(reversed(batch))
            self._drop_oldest()
            self._changed.wait_for(lambda: self._is_ending, self._pause_seconds)
            return True

    def _drop_oldest(self) -> None:
        while len(self._waiting) > self._waiting_max:
            self._waiting.popleft()
