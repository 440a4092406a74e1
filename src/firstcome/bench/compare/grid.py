"""All runs of a comparison as a grid: engine by engine, and repetitions taken together.

A cell is the median of its repetitions with the least and the most beside it, or the reason why
there is none. Two cells differ when their medians are further apart than either one's spread.
"""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from firstcome.bench.columns import COLUMNS
from firstcome.bench.compare.missing import Missing
from firstcome.bench.compare.row import Row
from firstcome.bench.run import BUILT_IN, K6, Comparison, Run
from firstcome.bench.scenarios import SCENARIOS

ENGINES = tuple(column.name for column in COLUMNS)
GENERATORS = (BUILT_IN, K6)
# A single run has no spread: two medians nearer than this share are then taken as equal.
SINGLE_RUN_NOISE = 0.10


class Cell(NamedTuple):
    """What repetitions came to. `median` is None exactly if `missing` says why."""

    median: float | None
    least: float = 0.0
    most: float = 0.0
    repetitions: int = 0
    missing: Missing | None = None

    @property
    def spread(self) -> float:
        """How far apart repetitions are; of a single one, what it has to be taken for."""
        assumed = abs(self.median or 0.0) * SINGLE_RUN_NOISE if self.repetitions < 2 else 0.0
        return max(self.most - self.least, assumed)


def cell(row: Row, runs: Iterable[Run]) -> Cell:
    """Return the cell of a row over repetitions."""
    values = [row.value(run) for run in runs]
    numbers = [value for value in values if not isinstance(value, Missing)]
    if numbers:
        return Cell(median(numbers), min(numbers), max(numbers), len(numbers))
    reasons = [value for value in values if isinstance(value, Missing)]
    return Cell(None, missing=reasons[0] if reasons else Missing.NOT_RUN)


def compared(one: Cell, other: Cell) -> int | None:
    """Return -1 if `one` is lower, 1 if it is higher, 0 if noise may explain it; None: unknown."""
    if one.median is None or other.median is None:
        return None
    distance = one.median - other.median
    if abs(distance) <= max(one.spread, other.spread):
        return 0
    return -1 if distance < 0 else 1


class Grid:
    """A comparison, taken apart by scenario, generator and engine."""

    def __init__(self, comparison: Comparison) -> None:
        """Sort the runs in."""
        self.comparison = comparison
        runs = comparison.runs
        self.engines = _ordered(ENGINES, (run.engine for run in runs))
        known = [scenario.name for scenario in SCENARIOS]
        self.scenarios = _ordered(known, (run.scenario for run in runs))
        self._runs: dict[tuple[str, str, str], list[Run]] = {}
        for run in runs:
            key = run.scenario, run.load.generator, run.engine
            self._runs.setdefault(key, []).append(run)

    def generators(self, scenario: str) -> list[str]:
        """Return the generators that a scenario was run with."""
        return _ordered(GENERATORS, (found[1] for found in self._runs if found[0] == scenario))

    def runs(self, scenario: str, generator: str, engine: str) -> list[Run]:
        """Return the repetitions."""
        return self._runs.get((scenario, generator, engine), [])

    def cell(self, row: Row, scenario: str, generator: str, engine: str) -> Cell:
        """Return what a row came to."""
        return cell(row, self.runs(scenario, generator, engine))

    def typical(self, scenario: str, generator: str, engine: str) -> Run | None:
        """Return the repetition in the middle by rows a second: the one whose course is drawn."""
        runs = self.runs(scenario, generator, engine)
        ranked = sorted(runs, key=lambda run: run.outcome.persisted_per_second or 0.0)
        return ranked[len(ranked) // 2] if ranked else None


def _ordered(known: Sequence[str], found: Iterable[str]) -> list[str]:
    """Return what was found, known names first in their order, then the others as they came."""
    names = list(dict.fromkeys(found))
    return [name for name in known if name in names] + [name for name in names if name not in known]
