"""How much the numbers of the processes have grown between two looks, all processes together.

/metrics of each -> [growth] -> told: answers; flow: records, failures
"""

from typing import NamedTuple

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Growth(NamedTuple):
    """By series: how much it grew, and how much a second. Of gauges it says nothing."""

    grown: Series
    rates: Series

    def total(self, name: str) -> float:
        """Return how much all series of a name grew a second."""
        return sum(rate for (each, _), rate in self.rates.items() if each == name)

    def buckets(self, name: str) -> dict[float, float]:
        """Return a histogram's growth by upper bound, cumulative, over all of its labels."""
        found: dict[float, float] = {}
        for (each, labels), grown in self.grown.items():
            if each == f"{name}_bucket":
                bound = float(dict(labels)["le"])
                found[bound] = found.get(bound, 0.0) + grown
        return found


class GrowthWatch:
    """Keeps the look before. For one thread."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, Series]] = {}

    def read(self, at: float, told: dict[str, Series]) -> Growth | None:
        """Compare with the look before, by process; None: no process was seen twice."""
        before, self._before = self._before, {name: (at, told[name]) for name in told}
        grown: Series = {}
        rates: Series = {}
        for name, found in told.items():
            then, known = before.get(name, (at, {}))
            if not known or at <= then:
                continue
            for series, value in found.items():
                more = value - known.get(series, 0.0)
                # A smaller number: the process is a new one.
                more = value if more < 0 else more
                grown[series] = grown.get(series, 0.0) + more
                rates[series] = rates.get(series, 0.0) + more / (at - then)
        return Growth(grown, rates) if grown else None


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """Return where a share of the values lies, by a cumulative histogram; None: no values."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    lower, below = 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= share * total:
            if bound == float("inf") or count == below:
                return lower
            return lower + (bound - lower) * (share * total - below) / (count - below)
        lower, below = bound, count
    return lower
