"""How far the figures may be trusted: a disturbed machine, a changing one, too few repetitions.

The limits are those of bench.measure; a fixed piece of work before each run says how fast a core
was at that moment.
"""

from collections.abc import Iterator
from statistics import median

from firstcome.bench.compare.figures import number
from firstcome.bench.compare.finding import Finding, Tone, Topic
from firstcome.bench.compare.grid import Grid
from firstcome.bench.measure import OTHERS_PERCENT_MAX, STEAL_PERCENT_MAX
from firstcome.bench.run import Run

# More than this between the slowest and the fastest calibration, and the core was not the same.
CALIBRATION_SPREAD_MAX = 0.10
REPETITIONS_MIN = 3  # a median of fewer is one of the values, or the middle of two


def disturbances(run: Run) -> list[str]:
    """Return which limits a run was beyond: `steal`, `others`."""
    shares = (
        ("steal", run.steal_percent, STEAL_PERCENT_MAX),
        ("others", run.others_percent, OTHERS_PERCENT_MAX),
    )
    return [name for name, share, most in shares if share is not None and share > most]


def calibration_spread(runs: list[Run]) -> float:
    """Return how far apart calibrations are, as a share of their median."""
    values = [run.calibration_ms for run in runs if run.calibration_ms > 0]
    return (max(values) - min(values)) / median(values) if values else 0.0


def findings(grid: Grid) -> Iterator[Finding]:
    """Say everything that stands between the figures and the truth."""
    comparison = grid.comparison
    if comparison.quick:
        yield Finding(Topic.NOISE, "quick", Tone.DOUBT)
    if comparison.repetitions < REPETITIONS_MIN:
        figures = {"repetitions": str(comparison.repetitions)}
        yield Finding(Topic.NOISE, "few-repetitions", Tone.DOUBT, figures)
    yield from _disturbed(comparison.runs)
    yield from _calibration(comparison.runs)
    yield from _setups(comparison.runs)


def _disturbed(runs: list[Run]) -> Iterator[Finding]:
    disturbed = [run for run in runs if disturbances(run)]
    limits = {"steal_max": f"{STEAL_PERCENT_MAX:g}", "others_max": f"{OTHERS_PERCENT_MAX:g}"}
    if not disturbed:
        yield Finding(Topic.NOISE, "undisturbed", Tone.GOOD, limits | {"runs": f"{len(runs):,}"})
        return
    listed = "; ".join(
        f"`{run.engine}` {run.scenario} {run.load.generator} #{run.repetition} "
        f"({', '.join(_share(run, name) for name in disturbances(run))})"
        for run in disturbed
    )
    figures = {"count": f"{len(disturbed):,}", "runs": f"{len(runs):,}", "listed": listed}
    yield Finding(Topic.NOISE, "disturbed", Tone.DOUBT, limits | figures)


def _share(run: Run, name: str) -> str:
    value = run.steal_percent if name == "steal" else run.others_percent
    return f"{name} {number(value or 0.0)} %"


def _calibration(runs: list[Run]) -> Iterator[Finding]:
    values = [run.calibration_ms for run in runs if run.calibration_ms > 0]
    if len(values) < 2:
        return
    apart = calibration_spread(runs)
    figures = {
        "percent": number(100 * apart),
        "least": number(min(values)),
        "most": number(max(values)),
    }
    if apart > CALIBRATION_SPREAD_MAX:
        yield Finding(Topic.NOISE, "calibration-apart", Tone.DOUBT, figures)
    else:
        yield Finding(Topic.NOISE, "calibration-together", Tone.GOOD, figures)


def _setups(runs: list[Run]) -> Iterator[Finding]:
    """Say which settings were not the same in runs that stand side by side."""
    apart = set()
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        setup = first.setdefault((run.scenario, run.load.generator), run).setup
        apart |= {name for name, _ in run.setup.items() ^ setup.items()}
    if apart:
        yield Finding(
            Topic.NOISE, "setups-differ", Tone.DOUBT, {"listed": ", ".join(sorted(apart))}
        )
