"""What flows through the machinery while somebody watches: records, failures, redrives, memory.

Made of what the processes tell, as told.py reads it, and of what this process' own sampler has
counted. Null is not known, and nothing here is remembered but the redrives of the last minute.
"""

from collections import deque

import msgspec

from firstcome.console.growth import Growth, quantile
from firstcome.metrics import catalogue
from firstcome.model import Engine

REDRIVEN_SECONDS = 60.0
APPENDED = (f"{catalogue.APPEND.name}_count", ())
READ = (catalogue.READ.name, (("engine", str(Engine.KAFKA)),))
REDRIVEN = ("redriven",)


class Flow(msgspec.Struct, frozen=True):
    """Of all processes together, since the look before."""

    records_in: float | None = None  # acknowledged by Kafka, a second; heartbeats are among them
    records_out: float | None = None  # taken from it by recorders, a second
    append_failures: float | None = None  # records refused or not acknowledged, a second
    issued_p95_seconds: float | None = None  # from asking the gate to the committed row
    redriven: int | None = None  # dead letters of the last minute
    redis_memory_bytes: float | None = None


class FlowWatch:
    """For one thread, for as long as somebody watches."""

    def __init__(self) -> None:
        self._redriven: deque[tuple[float, float]] = deque()

    def read(self, growth: Growth | None, at: float) -> Flow:
        """Return what flows; growth None: no process was asked twice."""
        memory = catalogue.REDIS_MEMORY.series.get(())
        flow = Flow(
            redriven=self._of_last_minute(at),
            redis_memory_bytes=None if memory is None else memory.now(),
        )
        if growth is None:
            return flow
        known = APPENDED in growth.rates  # a first failure brings a series of its own
        failures = growth.total(catalogue.APPEND_FAILURES.name)
        return msgspec.structs.replace(
            flow,
            records_in=growth.rates.get(APPENDED),
            records_out=growth.rates.get(READ),
            append_failures=failures if known else None,
            issued_p95_seconds=quantile(growth.buckets(catalogue.ISSUED_AFTER.name), 0.95),
        )

    def _of_last_minute(self, at: float) -> int | None:
        counted = catalogue.DEAD_LETTERS_DECIDED.series.get(REDRIVEN)
        if counted is None:
            return None
        marks = self._redriven
        marks.append((at, counted.now()))
        while at - marks[0][0] > REDRIVEN_SECONDS:
            marks.popleft()
        return int(marks[-1][1] - marks[0][1]) if len(marks) > 1 else None
