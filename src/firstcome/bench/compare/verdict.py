"""The verdict: rules that make findings of what the data support, and say where they do not.

Pure. Differences that the spread of repetitions may explain are said to be none. The goal of the
comparison is that `kafka` persists at least GOAL_RATIO times what `direct` does when each is asked
for all it can give; the source's goal is a p95 of SOURCE_P95_MS under its own load.
"""

from collections.abc import Iterator, Sequence

from firstcome.bench.columns import has_gate
from firstcome.bench.compare import noise
from firstcome.bench.compare.figures import APART, number
from firstcome.bench.compare.finding import Finding, Tone, Topic, names, told
from firstcome.bench.compare.grid import Cell, Grid, compared
from firstcome.bench.compare.rows import BY_KEY
from firstcome.bench.run import BUILT_IN, Run

GOAL_RATIO = 8.0
SOURCE_P95_MS = 60.0
SATURATION, SOURCE, STEADY = "saturation", "source", "steady"
# What `direct` may be better in: less is better in each.
_DIRECT_ROWS = ("http_p95", "issued_p95", "cpu_per_issuance")
FAILED_PERCENT_MAX = 1.0
_WRONGS = ("lost", "doubled", "oversold", "unsold")


def verdict(grid: Grid) -> list[Finding]:
    """Return every finding, in the order of the report."""
    rules = (_speed, _answers, _failures, _correctness, _direct, _price, noise.findings)
    return [finding for rule in rules for finding in rule(grid)]


class Ratio:
    """How many times the rows a second of one engine are another's, at saturation."""

    def __init__(self, grid: Grid, engine: str, base: str) -> None:
        """Without both engines `known` is false."""
        cells = [
            grid.cell(BY_KEY["persisted"], SATURATION, BUILT_IN, name) for name in (engine, base)
        ]
        self.engine, self.base = engine, base
        self.one, self.other = cells
        self.known = self.one.median is not None and bool(self.other.median)

    @property
    def middle(self) -> float:
        """Median by median."""
        return (self.one.median or 0.0) / (self.other.median or 1.0)

    @property
    def least(self) -> float:
        """The worst pair of repetitions."""
        return self.one.least / (self.other.most or 1.0)

    @property
    def most(self) -> float:
        """The best pair of repetitions."""
        return self.one.most / self.other.least if self.other.least else self.middle

    @property
    def judged(self) -> str:
        """Say how it stands to the goal; `near` when repetitions lie on both sides of it."""
        if self.least >= GOAL_RATIO:
            return "reached"
        return "missed" if self.most < GOAL_RATIO else "near"

    @property
    def tone(self) -> Tone:
        """Say how that is to be read."""
        return {"reached": Tone.GOOD, "missed": Tone.BAD, "near": Tone.DOUBT}[self.judged]

    def figures(self) -> dict[str, str]:
        """Return what its sentence needs."""
        row = BY_KEY["persisted"]
        return {
            "engine": self.engine,
            "base": self.base,
            "ratio": number(self.middle),
            "least": number(self.least),
            "most": number(self.most),
            "goal": number(GOAL_RATIO).removesuffix(".00"),
            "one": told(self.one, row),
            "other": told(self.other, row),
        }


def _speed(grid: Grid) -> Iterator[Finding]:
    pairs = (("kafka", "direct"), ("queue", "direct"), ("kafka", "direct-conditional"))
    for engine, base in pairs:
        ratio = Ratio(grid, engine, base)
        if ratio.known:
            yield Finding(Topic.SPEED, f"ratio-{ratio.judged}", ratio.tone, ratio.figures())
        elif base in grid.engines or base == "direct":
            figures = {"engine": engine, "base": base}
            yield Finding(Topic.SPEED, "ratio-unknown", Tone.DOUBT, figures)
    yield from _variants(grid)


def _variants(grid: Grid) -> Iterator[Finding]:
    """Say which way of taking the campaign's row is the faster one."""
    ratio = Ratio(grid, "direct", "direct-conditional")
    if not ratio.known:
        return
    which = {-1: "variants-conditional", 0: "variants-draw", 1: "variants-direct"}
    yield Finding(
        Topic.SPEED, which[compared(ratio.one, ratio.other) or 0], figures=ratio.figures()
    )


def _answers(grid: Grid) -> Iterator[Finding]:
    row = BY_KEY["http_p95"]
    for generator in grid.generators(SOURCE):
        for engine in grid.engines:
            found = grid.cell(row, SOURCE, generator, engine)
            if found.median is None:
                continue
            key, tone = against_source(found)
            if key == "p95-over" and not has_gate(engine):
                tone = Tone.PLAIN  # the figure is that of Redis + Kafka
            figures = {
                "engine": engine,
                "generator": generator,
                "value": told(found, row),
                "limit": f"{SOURCE_P95_MS:.0f}{APART}ms",
            }
            yield Finding(Topic.ANSWERS, key, tone, figures)
    if not grid.generators(SOURCE):
        yield Finding(Topic.ANSWERS, "p95-unknown", Tone.DOUBT)


def against_source(found: Cell) -> tuple[str, Tone]:
    """Return the sentence for a p95 under the source's load, and how it is to be read."""
    if found.most < SOURCE_P95_MS:
        return "p95-under", Tone.GOOD
    return ("p95-over", Tone.BAD) if found.least >= SOURCE_P95_MS else ("p95-near", Tone.DOUBT)


def _failures(grid: Grid) -> Iterator[Finding]:
    """Say whose requests failed where: the crowd feels this, whatever the rate."""
    row = BY_KEY["failed_percent"]
    none = True
    for engine in grid.engines:
        cells = {
            (scenario, generator): grid.cell(row, scenario, generator, engine)
            for scenario in grid.scenarios
            for generator in grid.generators(scenario)
        }
        failed = [
            f"{scenario} ({generator}) {told(found, row)}"
            for (scenario, generator), found in cells.items()
            if found.most > 0
        ]
        if failed:
            none = False
            figures = {"engine": engine, "listed": "; ".join(failed)}
            yield Finding(Topic.ANSWERS, "failed-some", Tone.BAD, figures)
    if none and grid.scenarios:
        yield Finding(Topic.ANSWERS, "failed-none", Tone.GOOD)


def _correctness(grid: Grid) -> Iterator[Finding]:
    runs = grid.comparison.runs
    if not runs:
        yield Finding(Topic.CORRECTNESS, "correct-unknown", Tone.DOUBT)
        return
    for engine in grid.engines:
        counts = {
            name: sum(getattr(run.outcome, name) for run in runs if run.engine == engine)
            for name in _WRONGS
        }
        if any(counts.values()):
            figures = {"engine": engine} | {name: f"{count:,}" for name, count in counts.items()}
            yield Finding(Topic.CORRECTNESS, "correct-wrong", Tone.BAD, figures)
    if not any(getattr(run.outcome, name) for run in runs for name in _WRONGS):
        figures = {"runs": f"{len(runs):,}", "issued": f"{sum(r.outcome.issued for r in runs):,}"}
        yield Finding(Topic.CORRECTNESS, "correct-all", Tone.GOOD, figures)
    for engine in grid.engines:
        left = sum(run.outcome.given_up for run in runs if run.engine == engine)
        if left:
            figures = {"engine": engine, "left": f"{left:,}"}
            yield Finding(Topic.CORRECTNESS, "given-up", Tone.DOUBT, figures)
    broken = [run for run in runs if not run.outcome.held]
    for run in broken:
        figures = _which(run) | {"rules": "; ".join(run.outcome.broken) or "?"}
        yield Finding(Topic.CORRECTNESS, "laws-broken", Tone.BAD, figures)
    if not broken:
        yield Finding(Topic.CORRECTNESS, "laws-held", Tone.GOOD)


def _which(run: Run) -> dict[str, str]:
    return {
        "engine": run.engine,
        "scenario": run.scenario,
        "generator": run.load.generator,
        "repetition": str(run.repetition),
    }


def _direct(grid: Grid) -> Iterator[Finding]:
    """Say where the single service is the better choice, or as good as the others."""
    if "direct" not in grid.engines:
        return
    others = [engine for engine in ("queue", "kafka") if engine in grid.engines]
    somewhere = False
    for scenario in grid.scenarios:
        # Waiting times of a crowd that asks as fast as it is answered say nothing.
        for key in _DIRECT_ROWS if scenario != SATURATION else _DIRECT_ROWS[2:]:
            finding = _direct_beside(grid, scenario, key, others)
            if finding is None:
                continue
            somewhere |= finding.key in ("direct-better", "direct-draw")
            if scenario == STEADY or finding.key != "direct-worse":
                yield finding
    if others and not somewhere:
        yield Finding(Topic.DIRECT, "direct-nowhere")
    failed = grid.cell(BY_KEY["failed_percent"], STEADY, BUILT_IN, "direct")
    if failed.median is not None and not failed.most:
        yield Finding(Topic.DIRECT, "direct-enough", Tone.GOOD)
    yield Finding(Topic.DIRECT, "direct-parts")


def _direct_beside(grid: Grid, scenario: str, key: str, others: Sequence[str]) -> Finding | None:
    """Compare `direct` with the engines that have a gate; the best of them decides."""
    row = BY_KEY[key]
    own = grid.cell(row, scenario, BUILT_IN, "direct")
    found = {engine: grid.cell(row, scenario, BUILT_IN, engine) for engine in others}
    ways = {engine: compared(own, cell) for engine, cell in found.items()}
    known = [way for way in ways.values() if way is not None]
    if not known:
        return None
    key, tone = {
        -1: ("direct-better", Tone.GOOD),
        0: ("direct-draw", Tone.PLAIN),
        1: ("direct-worse", Tone.PLAIN),
    }[max(known)]
    listed = ", ".join(f"`{engine}` {told(cell, row)}" for engine, cell in found.items())
    figures = {"scenario": scenario, "own": told(own, row), "others": listed}
    failed = grid.cell(BY_KEY["failed_percent"], scenario, BUILT_IN, "direct")
    if max(known) < 1 and (failed.median or 0.0) > FAILED_PERCENT_MAX:
        # Who turns people away is quick with the rest: no merit.
        figures["failed"] = told(failed, BY_KEY["failed_percent"])
        return Finding(Topic.DIRECT, "direct-failing", Tone.DOUBT, figures, row.key)
    return Finding(Topic.DIRECT, key, tone, figures, row.key)


def _price(grid: Grid) -> Iterator[Finding]:
    """Say what Kafka's strength costs beside the gate's own journal."""
    if not {"queue", "kafka"} <= set(grid.engines):
        return
    asked = ((SATURATION, "persisted"), (SOURCE, "http_p95"), (SATURATION, "cpu_per_issuance"))
    for scenario, key in asked:
        row = BY_KEY[key]
        kafka, queue = (grid.cell(row, scenario, BUILT_IN, name) for name in ("kafka", "queue"))
        way = compared(kafka, queue)
        if way is None:
            continue
        better = way > 0 if key == "persisted" else way < 0
        which = "price-draw" if way == 0 else "price-none" if better else "price-some"
        figures = {"scenario": scenario, "kafka": told(kafka, row), "queue": told(queue, row)}
        yield Finding(Topic.PRICE, which, figures=figures, row=key)
    yield Finding(Topic.PRICE, "price-promise", figures={"engines": names(["queue", "kafka"])})
