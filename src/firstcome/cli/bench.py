"""`firstcome bench`: measure an engine, put all engines side by side, look at the trend.

Each run gets a fresh stack of its own, which is gone afterwards: nothing of yours is touched.
Needs the packages of the extras `local` and `bench`, and a machine that does little else.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from firstcome.bench.collect.stores import stores_of
from firstcome.bench.columns import BY_NAME as COLUMN
from firstcome.bench.compare.comparing import Course, compare
from firstcome.bench.compare.report import write_report
from firstcome.bench.drop import Progress
from firstcome.bench.history import History, Trend, trends
from firstcome.bench.k6_command import binary, script
from firstcome.bench.progress import watching
from firstcome.bench.run import BUILT_IN, K6, Loss, Run
from firstcome.bench.runner import fresh
from firstcome.bench.scenarios import BY_NAME as SCENARIO
from firstcome.cli.signals import end_by_interrupt
from firstcome.drill import forgetting
from firstcome.drill.forgetting_report import as_said
from firstcome.drill.stage import staged

app = typer.Typer(
    no_args_is_help=True,
    help="Measure engines, and put them side by side.",
    callback=end_by_interrupt,
)

Seed = Annotated[int | None, typer.Option(help="Repeats the crowds.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
HistoryFile = Annotated[
    Path, typer.Option("--history", help="File of all runs, one a line.", dir_okay=False)
]
PrometheusUrl = Annotated[
    str | None, typer.Option("--prometheus", help="Send samples to this server as they are taken.")
]
InfluxUrl = Annotated[
    str | None, typer.Option("--influx", help="Send samples to URL/DATABASE (InfluxDB 1).")
]
HISTORY = Path("bench-history.jsonl")
SEED_MAX = 1_000_000


@app.command()
def run(  # noqa: PLR0913 - one argument an option
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(COLUMN)}.")] = "kafka",
    scenario: Annotated[str, typer.Option(help=f"One of {', '.join(SCENARIO)}.")] = "smoke",
    generator: Annotated[str, typer.Option(help=f"{BUILT_IN} or {K6}.")] = BUILT_IN,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the crowd.")] = False,
    seed: Seed = None,
    history: HistoryFile = HISTORY,
    prometheus: PrometheusUrl = None,
    influx: InfluxUrl = None,
    as_json: AsJson = False,
) -> None:
    """Run one scenario against one engine; add the run to the history.

    Exit code 1 when a law or a check did not hold.
    """
    column = COLUMN[_known(engine, list(COLUMN), "--engine")]
    chosen = SCENARIO[_known(scenario, list(SCENARIO), "--scenario")]
    _known(generator, [BUILT_IN, K6], "--generator")
    if generator == K6:
        binary()  # found missing now, not after a warm-up
        script(chosen)
    if quick:
        chosen = chosen.shortened()
    stores = stores_of(prometheus, influx)
    with watching(Console(stderr=True)) as watch, fresh(column, watch) as runner:
        runner.warm_up(0.25 if quick or chosen.name == "smoke" else 1.0)
        one = runner.run_k6 if generator == K6 else runner.run
        found = one(chosen, _seed(seed), 1, stores)
    History(history).append(found)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n" if as_json else said(found))
    raise typer.Exit(0 if found.outcome.held else 1)


@app.command("compare")
def compare_engines(  # noqa: PLR0913 - one argument an option
    quick: Annotated[bool, typer.Option("--quick", help="Small crowds, under 10 minutes.")] = False,
    repetitions: Annotated[
        int, typer.Option(min=3, max=50, help="Stacks of each engine; 3 at least.")
    ] = 3,
    folder: Annotated[Path, typer.Option(help="Where the report goes.", file_okay=False)] = Path(),
    seed: Seed = None,
    history: HistoryFile = HISTORY,
    prometheus: PrometheusUrl = None,
    influx: InfluxUrl = None,
    as_json: AsJson = False,
) -> None:
    """Run every engine in turn, and write the report. Exit code 1 when a law did not hold."""
    number = _seed(seed)
    made = Course.quick_one if quick else Course.full_one
    course = made(number, repetitions)
    past, stores = History(history), stores_of(prometheus, influx)

    runs: list[Run] = []

    def ended(found: Run) -> None:
        runs.append(found)
        past.append(found)
        sys.stderr.write(said(found))

    folder.mkdir(parents=True, exist_ok=True)
    with watching(Console(stderr=True)) as watch, _kept(runs, folder):
        comparison = compare(course, watch, stores, ended)
        written = write_report(comparison, folder)
        if not quick:
            comparison = msgspec.structs.replace(comparison, losses=_losses(number, watch))
            written = write_report(comparison, folder)
    sys.stderr.write("".join(f"written: {path}\n" for path in written))
    if as_json:
        sys.stdout.write(msgspec.json.encode(comparison).decode() + "\n")
    held = all(each.outcome.held for each in comparison.runs)
    raise typer.Exit(0 if held and all(map(as_said, comparison.losses)) else 1)


@app.command("history")
def show_history(history: HistoryFile = HISTORY, as_json: AsJson = False) -> None:
    """Show the newest figures beside earlier ones; exit code 1 on a regression beyond noise."""
    found = trends(History(history).runs())
    if as_json:
        sys.stdout.write(json.dumps([msgspec.to_builtins(each) for each in found]) + "\n")
    else:
        sys.stdout.write("\n".join(map(trend_line, found)) + "\n" if found else "no runs yet\n")
    raise typer.Exit(1 if any(each.regressed for each in found) else 0)


@contextmanager
def _kept(runs: list[Run], folder: Path) -> Iterator[None]:
    """Write what was measured so far when something ends a comparison half-way."""
    try:
        yield
    except BaseException:
        if runs:
            path = folder / "comparison-unfinished.json"
            path.write_bytes(msgspec.json.encode(runs))
            sys.stderr.write(f"{len(runs)} runs were measured by then; written: {path}\n")
        raise


def _losses(seed: int, watch: Callable[[Progress], None]) -> list[Loss]:
    """Return what it costs each engine that Redis loses its machine."""
    losses = []
    for case in forgetting.CASES:
        with staged(lambda stage: watch(Progress(stage))) as stage:
            losses.append(
                forgetting.forget(stage, case, seed, lambda stage: watch(Progress(stage)))
            )
    return losses


def said(found: Run) -> str:
    """Return a run in one line."""
    load, outcome = found.load, found.outcome
    cost = found.cpu_us_per_issuance
    return (
        f"{found.engine} {found.scenario} ({load.generator}): {load.requests:,} requests, "
        f"{outcome.issued:,} of {outcome.expected:,} issued, "
        f"{outcome.persisted_per_second or 0:,.0f}/s, "
        f"p95 {outcome.accepted_ms.p95 or 0:,.1f} ms, issued p95 {outcome.issued_ms.p95 or 0:,.1f} "
        f"ms, {load.overloaded:,} overloaded, {load.faults:,} faults, "
        f"{0 if cost is None else cost:,.0f} us CPU an issuance: "
        + ("everything held" if outcome.held else f"NOT held: {'; '.join(outcome.broken)}")
        + "\n"
    )


def trend_line(trend: Trend) -> str:
    """Return one figure in one line."""
    if trend.median is None or trend.noise is None:
        beside = f"{len(trend.earlier)} earlier runs are too few to compare"
    else:
        change = (trend.value / trend.median - 1) if trend.median else 0.0
        verdict = "REGRESSED" if trend.regressed else "ok"
        beside = (
            f"{change:+.1%} of the median {trend.median:,.1f} of {len(trend.earlier)}, "
            f"noise {trend.noise:,.1f}: {verdict}"
        )
    return (
        f"{trend.engine} {trend.scenario} ({trend.generator}) {trend.figure} "
        f"{trend.value:,.1f} {trend.unit} at {trend.commit}; {beside}"
    )


def _known(name: str, names: list[str], option: str) -> str:
    if name not in names:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(names)}", param_hint=option)
    return name


def _seed(seed: int | None) -> int:
    return random.SystemRandom().randrange(1, SEED_MAX) if seed is None else seed
