"""Runs every column in turn, again and again, and puts the runs side by side.

Each column gets a fresh stack in each repetition, in an order that changes from one to the next:
what the machine does meanwhile meets all of them alike. Runs of unequal set-ups, commits or
machines are never compared.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from firstcome.bench import origin
from firstcome.bench.collect.stores import Store
from firstcome.bench.columns import COLUMNS, Column
from firstcome.bench.drop import Progress
from firstcome.bench.k6_command import binary, script
from firstcome.bench.run import Comparison, Run
from firstcome.bench.runner import fresh
from firstcome.bench.scenarios import BY_NAME, Scenario
from firstcome.errors import Refused


class Course(NamedTuple):
    """What is run: the columns, the scenarios of each stack, how often."""

    columns: Sequence[Column]
    scenarios: Sequence[Scenario]
    k6_scenarios: Sequence[Scenario]  # these with k6 too, in the first repetition
    repetitions: int
    quick: bool
    seed: int

    @classmethod
    def quick_one(cls, seed: int, repetitions: int = 3) -> "Course":
        """Return what fits into ten minutes."""
        columns = [column for column in COLUMNS if not column.settings]  # no variants
        scenarios = [BY_NAME[name].shortened() for name in ("source", "steady")]
        return cls(
            columns, [*scenarios, BY_NAME["saturation"]], scenarios[:1], repetitions, True, seed
        )

    @classmethod
    def full_one(cls, seed: int, repetitions: int = 3) -> "Course":
        """Return what a report should stand on."""
        names = ("source", "spike", "steady", "repeat", "sold-out", "saturation")
        scenarios = [BY_NAME[name] for name in names]
        return cls(COLUMNS, scenarios, scenarios[:1], repetitions, False, seed)


def compare(
    course: Course,
    watch: Callable[[Progress], None],
    stores: Sequence[Store] = (),
    ended: Callable[[Run], None] = lambda run: None,
) -> Comparison:
    """Run the whole course; `ended` hears of every run at once. Raises Refused, Unavailable."""
    if course.k6_scenarios:
        binary()  # found missing now, not after the first engine's runs
        for scenario in course.k6_scenarios:
            script(scenario)
    runs: list[Run] = []
    for run in _runs(course, watch, stores):
        runs.append(run)
        ended(run)
        check_comparable(runs)
    return Comparison(
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        commit=runs[0].commit,
        environment=runs[0].environment,
        quick=course.quick,
        repetitions=course.repetitions,
        runs=runs,
    )


def _runs(
    course: Course, watch: Callable[[Progress], None], stores: Sequence[Store]
) -> Iterator[Run]:
    commit = origin.commit()
    for repetition in range(1, course.repetitions + 1):
        for column in turned(course.columns, repetition - 1):
            with fresh(column, watch, commit) as runner:
                runner.warm_up(0.25 if course.quick else 1.0)
                for scenario in course.scenarios:
                    yield runner.run(scenario, course.seed + repetition, repetition, stores)
                for scenario in course.k6_scenarios if repetition == 1 else ():
                    yield runner.run_k6(scenario, course.seed + repetition, repetition, stores)


def turned(columns: Sequence[Column], by: int) -> list[Column]:
    """Return the columns, beginning with another one each time."""
    by %= len(columns)
    return [*columns[by:], *columns[:by]]


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise Refused when two runs of one scenario and generator differ in more than the engine."""
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        other = first.setdefault((run.scenario, run.load.generator), run)
        for name, mine, theirs in (
            ("commit", run.commit, other.commit),
            ("machine", run.environment, other.environment),
            ("set-up", run.setup, other.setup),
        ):
            if mine != theirs:
                raise Refused(
                    f"{run.engine} and {other.engine} ran {run.scenario} on unequal terms: "
                    f"{name} {mine} and {theirs}; nothing is compared, run them again together"
                )
