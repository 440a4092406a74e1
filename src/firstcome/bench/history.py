"""All runs that were ever noted, one a line, and what the newest says beside those before it.

    <file>.jsonl   one Run a line with all its samples, oldest first; only ever added to

A change counts only if it is larger than the noise: than three times the usual distance of the
earlier runs from their median, and than a tenth of it. Runs on different machines, and runs in
small beside whole ones, are never put beside each other.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec

from firstcome.bench.run import Run
from firstcome.bench.scenarios import BY_NAME
from firstcome.errors import Refused

EARLIER_MIN, EARLIER_MAX = 3, 20
NOISE_DISTANCES, NOISE_SHARE = 3.0, 0.10


class Figure(msgspec.Struct, frozen=True):
    """One figure of a run and whether more of it is better."""

    name: str
    unit: str
    more_is_better: bool
    waiting: bool = False  # says nothing of a crowd that is meant to wait

    def of(self, run: Run) -> float | None:
        """Read it off a run."""
        return {
            "persisted": run.outcome.persisted_per_second,
            "http p95": run.outcome.accepted_ms.p95,
            "issued p95": run.outcome.issued_ms.p95,
            "cpu": run.cpu_us_per_issuance,
        }[self.name]


FIGURES = (
    Figure("persisted", "rows/s", True),
    Figure("http p95", "ms", False, waiting=True),
    Figure("issued p95", "ms", False, waiting=True),
    Figure("cpu", "us/issued", False),
)


class Trend(msgspec.Struct, frozen=True):
    """One figure of the newest run of a kind beside the earlier ones."""

    engine: str
    scenario: str
    generator: str
    figure: str
    unit: str
    commit: str
    value: float
    earlier: list[float]  # oldest first
    median: float | None  # of the earlier ones; None: too few to say anything
    noise: float | None  # a difference up to this says nothing
    regressed: bool


class History:
    """One file of runs. A file that does not exist has none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, run: Run) -> None:
        """Add a run."""
        line = msgspec.json.encode(run)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(line + b"\n")

    def runs(self) -> list[Run]:
        """Read all runs. Raises Refused, naming the line, when one is none."""
        if not self._path.exists():
            return []
        runs = []
        for number, line in enumerate(self._path.read_bytes().splitlines(), 1):
            try:
                runs.append(msgspec.json.decode(line, type=Run))
            except msgspec.DecodeError as error:
                raise Refused(
                    f"line {number} of {self._path} is no run ({error}): nothing was changed; "
                    "remove that line"
                ) from error
        return runs


def trends(runs: Sequence[Run]) -> list[Trend]:
    """Return every figure of the newest run of each kind; regressions first."""
    kinds: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        kinds.setdefault(_kind(run), []).append(run)
    found = [trend for same in kinds.values() for trend in _trends_of(same)]
    return sorted(found, key=lambda trend: not trend.regressed)


def _kind(run: Run) -> tuple[object, ...]:
    machine = tuple(run.environment.get(name) for name in ("cpu", "cores", "memory", "python"))
    setup = tuple(sorted(run.setup.items()))
    return (run.engine, run.scenario, run.load.generator, setup, machine)


def _trends_of(runs: Sequence[Run]) -> Iterator[Trend]:
    newest = runs[-1]
    scenario = BY_NAME.get(newest.scenario)
    for figure in FIGURES:
        value = figure.of(newest)
        if value is None or (figure.waiting and scenario is not None and scenario.saturating):
            continue
        values = [figure.of(run) for run in runs[-1 - EARLIER_MAX : -1]]
        earlier = [each for each in values if each is not None]
        usual = noise = None
        if len(earlier) >= EARLIER_MIN:
            usual = median(earlier)
            distance = median(abs(each - usual) for each in earlier)
            noise = max(NOISE_DISTANCES * distance, NOISE_SHARE * usual)
        worse = 0.0
        if usual is not None:
            worse = usual - value if figure.more_is_better else value - usual
        yield Trend(
            engine=newest.engine,
            scenario=newest.scenario,
            generator=newest.load.generator,
            figure=figure.name,
            unit=figure.unit,
            commit=newest.commit,
            value=value,
            earlier=earlier,
            median=usual,
            noise=noise,
            regressed=noise is not None and worse > noise,
        )
