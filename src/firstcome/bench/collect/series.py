"""What a store is written: samples turned around, one series a metric and label value.

Empty labels are left out, because both stores take an empty label for a missing one. Values that
are no number are left out too: InfluxDB would refuse the whole request for one of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from firstcome.bench.collect.samples import METRICS, PREFIX, Sample

_LABELS = {metric.name: metric.label for metric in METRICS}


class Series(NamedTuple):
    """One line of a chart; points are milliseconds since 1970 and a value, in order of time."""

    name: str
    labels: dict[str, str]
    points: list[tuple[int, float]]


def series_of(labels: Mapping[str, str], samples: Sequence[Sample]) -> Iterator[Series]:
    """Return every series of the samples, each with `labels` and its metric's own."""
    points: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for sample in sorted(samples, key=lambda sample: sample.at):
        at = round(sample.at * 1000)
        for name, values in sample.values.items():
            for kind, value in values.items():
                if math.isfinite(value):
                    points.setdefault((name, kind), []).append((at, value))
    for (name, kind), values_in_time in points.items():
        own = {**labels, _LABELS[name]: kind} if kind else labels
        told = {key: value for key, value in own.items() if value}
        yield Series(PREFIX + name, told, values_in_time)
