"""How samples become one value of a run: over the time of the load, an average or a peak.

The load's time is that from its start to the last answer. A rate is that of the second before
its sample. A metric that was not sampled gives None, never 0.
"""

import math
from collections.abc import Callable, Iterator

from firstcome.bench.collect.samples import Sample
from firstcome.bench.run import Run

Reading = Callable[[Run], float | None]
Look = Callable[[Sample], float | None]


# A sample belongs to the load if most of the second before it does.
SETTLING_SECONDS = 0.5


def during_load(run: Run) -> list[Sample]:
    """Return the samples from the start of the load to its last answer."""
    inside = [
        each
        for each in run.samples
        if SETTLING_SECONDS <= each.at - run.started_at <= run.load.seconds + SETTLING_SECONDS
    ]
    return inside or list(run.samples)


def total(metric: str, label: str | None = None, per: float = 1.0) -> Look:
    """Look at a metric: the value of a label, or the sum of all; divided by `per`."""

    def look(sample: Sample) -> float | None:
        values = sample.values.get(metric)
        if not values or (label is not None and label not in values):
            return None
        return (math.fsum(values.values()) if label is None else values[label]) / per

    return look


def share(metric: str, of: str) -> Look:
    """Look at a metric as percent of another one."""
    part, whole = total(metric), total(of)

    def look(sample: Sample) -> float | None:
        value, most = part(sample), whole(sample)
        return None if value is None or not most else 100 * value / most

    return look


def average(look: Look) -> Reading:
    """Read the mean of all looks during the load."""
    return lambda run: _mean(list(_looks(run, look)))


def peak(look: Look) -> Reading:
    """Read the highest look during the load."""
    return lambda run: max(_looks(run, look), default=None)


def growth(look: Look) -> Reading:
    """Read how much a counter grew from the first sample of the run to the last."""

    def read(run: Run) -> float | None:
        values = [value for sample in run.samples if (value := look(sample)) is not None]
        return values[-1] - values[0] if len(values) > 1 else None

    return read


def _looks(run: Run, look: Look) -> Iterator[float]:
    for sample in during_load(run):
        if (value := look(sample)) is not None:
            yield value


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
