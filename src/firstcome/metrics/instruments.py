"""The kinds of metric: plain numbers that the path adds to, read when somebody asks.

Adding is one or two additions, without a lock, so each series belongs to one thread. Reading
happens on the thread that answers Prometheus and may see a histogram between two of its
additions; the next reading is right again.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

Labels = tuple[str, ...]


class Number:
    """One series of a counter or a gauge."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value: float = 0
        # Asked instead of `value`, if there is one.
        self.read: Callable[[], float] | None = None

    def now(self) -> float:
        """Return what it is now."""
        return self.value if self.read is None else self.read()


class Distribution:
    """One series of a histogram: how many values lay below each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Add a value, or the same one several times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)


S = TypeVar("S", Number, Distribution)


class Metric(Generic[S]):
    """One name; a series for each combination of its labels' values."""

    kind = ""

    def __init__(
        self, name: str, help: str, roles: Iterable[str], labels: Labels, new: Callable[[], S]
    ) -> None:
        """`roles`: the processes that tell it."""
        self.name = name
        self.help = help
        self.roles = frozenset(roles)
        self.labels = labels
        self._new: Callable[[], S] = new
        self.series: dict[Labels, S] = {}
        if not labels:
            self.of()

    def of(self, *values: str) -> S:
        """Return the series of these labels' values; keep it where it is used often."""
        series = self.series.get(values)
        if series is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {self.labels}, not {values}")
            series = self.series[values] = self._new()
        return series


class Counter(Metric[Number]):
    """Only grows, until the process ends."""

    kind = "counter"

    def __init__(self, name: str, help: str, *labels: str, by: Iterable[str]) -> None:
        super().__init__(name, help, by, labels, Number)

    def add(self, count: float, *values: str) -> None:
        """Add to one series."""
        self.of(*values).value += count


class Gauge(Metric[Number]):
    """Goes up and down."""

    kind = "gauge"

    def __init__(self, name: str, help: str, *labels: str, by: Iterable[str]) -> None:
        super().__init__(name, help, by, labels, Number)

    def set(self, value: float, *values: str) -> None:
        """Say what one series is now."""
        self.of(*values).value = value

    def follow(self, read: Callable[[], float], *values: str) -> None:
        """Ask `read` whenever somebody wants to know; it is called on another thread."""
        self.of(*values).read = read

    def replace(self, found: Mapping[Labels, float]) -> None:
        """Say all series at once; those that are not named are gone."""
        series = {}
        for values, value in found.items():
            series[values] = Number()
            series[values].value = value
        self.series = series


class Histogram(Metric[Distribution]):
    """How values are distributed."""

    kind = "histogram"

    def __init__(
        self, name: str, help: str, *labels: str, by: Iterable[str], bounds: tuple[float, ...]
    ) -> None:
        super().__init__(name, help, by, labels, lambda: Distribution(bounds))
        self.bounds = bounds

    def observe(self, value: float, *values: str, times: int = 1) -> None:
        """Add a value to one series."""
        self.of(*values).observe(value, times)
