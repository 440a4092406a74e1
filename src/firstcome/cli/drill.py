"""`firstcome drill`: break a stack of its own on purpose, and see what its users see.

Each drill starts a stack, breaks it under load, judges, and removes it again: nothing of yours is
touched. Needs the packages of the local stack, and a machine that does little else meanwhile.
"""

import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from firstcome.bench.origin import Origin
from firstcome.bench.run import Loss
from firstcome.cli.signals import end_by_interrupt
from firstcome.drill import (
    consumer_pause,
    forgetting,
    forgetting_report,
    incident_en,
    incident_ko,
    outage_report,
    outages,
    scaling,
    scaling_report,
)
from firstcome.drill.incident_report import NAME, Facts, drawing
from firstcome.drill.rehearsal import Load
from firstcome.drill.stage import staged

app = typer.Typer(
    no_args_is_help=True, help="Break a stack of its own on purpose.", callback=end_by_interrupt
)

Seed = Annotated[int | None, typer.Option(help="Repeats a crowd.")]
Folder = Annotated[Path, typer.Option(help="Where the report goes.", file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
SEED_MAX = 1_000_000
PAUSE_SECONDS = 60.0
# Requests a second; that of a wiped Redis is the rate of a drop.
KAFKA_RATE, POSTGRES_RATE, REDIS_RATE = 500.0, 1000.0, 2000.0
LAG_RATE, LAG_CLAIMS, LAG_CROWD, CYCLES_RATE = 10_000.0, 200_000, 1.1, 2000.0


@app.command("consumer-pause")
def pause_consumers(
    seconds: Annotated[
        float, typer.Option(min=1, max=600, help="How long the recorders stand still.")
    ] = PAUSE_SECONDS,
    rate: Annotated[
        float, typer.Option(min=10, max=5000, help="Claims a second.")
    ] = consumer_pause.RATE,
    seed: Seed = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let all recorders pause under load, and write an incident report of it.

    Two pages, English and Korean, each with its chart. Exit code 1 when a law was broken.
    """
    load_average = os.getloadavg()[0]
    with staged(_tell) as stage:
        found = consumer_pause.pause(stage, seconds, rate, _seed(seed), _tell)
        facts = Facts.of(found, Origin.of(stage.settings, load_average))
    folder.mkdir(parents=True, exist_ok=True)
    for language, words in (("en", incident_en), ("ko", incident_ko)):
        (folder / f"{NAME}.{language}.md").write_text(words.page(facts), encoding="utf-8")
        chart = drawing(found, words.CHART_NAMES)
        (folder / f"{NAME}.{language}.svg").write_text(chart, encoding="utf-8")
    _tell(f"written: {folder}/{NAME}.{{en,ko}}.md and .svg")
    if as_json:
        # Single waits are a hundred thousand numbers; the seconds say what they were.
        timeline = msgspec.structs.replace(
            found.timeline, http_ms=[], record_waits=[], status_waits=[]
        )
        short = msgspec.structs.replace(found, timeline=timeline)
        sys.stdout.write(msgspec.json.encode(short).decode() + "\n")
    else:
        sys.stdout.write(incident_en.page(facts))
    raise typer.Exit(0 if facts.nobody_lost else 1)


@app.command("outages")
def lose_engines(seed: Seed = None, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Kill Kafka, then PostgreSQL, for 30 s each; wipe Redis in mid-drop. About 5 minutes.

    Writes outages-<date>.md. Exit code 1 when anything was not as promised.
    """
    seed = _seed(seed)
    times = outages.FULL
    load_average = os.getloadavg()[0]
    with staged(_tell) as stage:
        found = [
            outages.kafka_away(stage, times, KAFKA_RATE, seed, _tell),
            outages.postgres_away(stage, times, POSTGRES_RATE, seed, _tell),
            outages.redis_wiped(stage, times, REDIS_RATE, seed, _tell),
        ]
        origin = Origin.of(stage.settings, load_average)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    page = outage_report.page(day, found, origin)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"outages-{day}.md").write_text(page, encoding="utf-8")
    _tell(f"written: {folder}/outages-{day}.md")
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n" if as_json else page)
    raise typer.Exit(0 if all(outage.held for outage in found) else 1)


@app.command("scaling")
def scale_recorders(
    cycles: Annotated[int, typer.Option(min=1, max=200, help="How often they come and go.")] = 20,
    claims: Annotated[
        int, typer.Option(min=10_000, max=1_000_000, help="What waits for one recorder.")
    ] = LAG_CLAIMS,
    rate: Annotated[
        float, typer.Option(min=10, max=5000, help="Claims a second during the cycles.")
    ] = CYCLES_RATE,
    seed: Seed = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let recorders come and go: by the autoscaler for a lag, and by hand under load. 7 minutes.

    Writes autoscaling-<date>.md. Exit code 1 when a law was broken or the autoscaler was too late.
    """
    seed = _seed(seed)
    load_average = os.getloadavg()[0]
    # More people than coupons: whoever is answered 503 leaves his to somebody else.
    load = Load(LAG_RATE, LAG_CROWD * claims / LAG_RATE, claims, seed)
    far, near = list[scaling.Drained](), list[scaling.Drained]()
    for lent, drained in ((scaling.slow_stage, far), (scaling.near_stage, near)):
        with lent(_tell) as stage:
            drained += [scaling.drain(stage, load, _tell, autoscale=each) for each in (False, True)]
    with staged(_tell) as stage:
        cycled = scaling.cycle(stage, cycles, rate, seed, _tell)
        origin = Origin.of(stage.settings, load_average)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    page = scaling_report.page(day, far, near, cycled, origin)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"autoscaling-{day}.md").write_text(page, encoding="utf-8")
    _tell(f"written: {folder}/autoscaling-{day}.md")
    found = {"far": far, "near": near, "cycled": cycled}
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n" if as_json else page)
    raise typer.Exit(0 if scaling_report.held(far, near, cycled) else 1)


@app.command("redis-forgets")
def forget_in_redis(seed: Seed = None, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Let Redis lose its machine in mid-drop, and count what it costs. About 6 minutes.

    Writes redis-forgets-<date>.md. Exit code 1 when an engine lost more than it says it may.
    """
    seed = _seed(seed)
    load_average = os.getloadavg()[0]
    losses: list[Loss] = []
    for case in forgetting.CASES:
        with staged(_tell) as stage:
            losses.append(forgetting.forget(stage, case, seed, _tell))
            origin = Origin.of(stage.settings, load_average)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    page = forgetting_report.page(day, losses, origin)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"redis-forgets-{day}.md").write_text(page, encoding="utf-8")
    _tell(f"written: {folder}/redis-forgets-{day}.md")
    sys.stdout.write(msgspec.json.encode(losses).decode() + "\n" if as_json else page)
    raise typer.Exit(0 if all(map(forgetting_report.as_said, losses)) else 1)


def _seed(asked: int | None) -> int:
    return random.SystemRandom().randrange(1, SEED_MAX) if asked is None else asked


def _tell(stage: str) -> None:
    """Say how far a drill is; standard output is for its result."""
    typer.echo(f"{datetime.now(UTC):%H:%M:%S} {stage}", err=True)
