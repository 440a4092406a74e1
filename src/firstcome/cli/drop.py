"""`firstcome drop`: a real drop over HTTP against the running stack, then the whole truth.

Standard output gets the report (text, or one JSON document with --json); progress
goes to standard error with --json. Exit code 0 only if every law and check held.
"""

import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from firstcome import postgres
from firstcome.bench.arrivals import Arrivals, arrivals_of
from firstcome.bench.crowd import Crowd
from firstcome.bench.drop import Drop
from firstcome.bench.environment import engines, machine
from firstcome.bench.offering import fresh
from firstcome.bench.plan import Asked
from firstcome.bench.progress import watching
from firstcome.bench.report import document, text
from firstcome.bench.summary import summarise
from firstcome.campaigns import Campaigns
from firstcome.model import STOCK_MAX, CampaignId, Engine
from firstcome.settings import Settings

app = typer.Typer()

USERS_MAX = 5_000_000
CONNECTIONS_BURST = 1000
# Of a rate: as many as wait when answers take 50 ms. With fewer, the pool and not the system
# would set the pace (256 connections and 25 ms are 10,000 requests a second, whatever is asked).
CONNECTIONS_MIN, CONNECTIONS_MAX, ANSWER_SECONDS = 256, 4000, 0.05


@app.command()
def drop(  # noqa: PLR0913 - one argument an option
    coupons: Annotated[
        int | None, typer.Option(min=1, max=STOCK_MAX, help="Stock of each new campaign.")
    ] = None,
    campaign: Annotated[
        int | None, typer.Option(min=1, help="Instead: a campaign that nobody has asked yet.")
    ] = None,
    users: Annotated[
        int | None,
        typer.Option(min=1, max=USERS_MAX, help="Distinct users, spread over the campaigns."),
    ] = None,
    campaigns: Annotated[int, typer.Option(min=1, max=100)] = 1,
    rate: Annotated[float | None, typer.Option(help="Requests a second (default 10,000).")] = None,
    ramp: Annotated[str | None, typer.Option(help="R1:R2, from one rate to another.")] = None,
    burst: Annotated[bool, typer.Option("--burst", help="Everybody as the doors open.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, max=3600, help="Instead of --users: how long.")
    ] = None,
    twice: Annotated[
        float, typer.Option(min=0, max=1, help="Share of users who ask twice at the same time.")
    ] = 0.1,
    keyed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of users who send an Idempotency-Key.")
    ] = 0.5,
    connections: Annotated[
        int | None,
        typer.Option(min=1, max=20_000, help="Pool of the generator (default: by rate)."),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="The log of the campaigns.")] = Engine.KAFKA,
    processes: Annotated[int, typer.Option(min=1, max=32, help="Of the generator.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Repeats a crowd.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Let a crowd ask for coupons over HTTP, then verify every answer and every law."""
    try:
        arrivals = arrivals_of(rate, ramp, burst)
        users = _users(users, seconds, arrivals, twice)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    settings = Settings.load()
    stock, engine = _offered(settings, coupons, campaign, campaigns, engine)
    asked = Asked(
        coupons=stock,
        crowd=Crowd(users, campaigns, twice, keyed, _seed() if seed is None else seed),
        arrivals=arrivals,
        engine=engine,
        connections=connections or _connections(arrivals),
        processes=processes,
        campaign_id=campaign,
    )
    with watching(Console(stderr=as_json)) as watch:
        measured = Drop(settings, asked, running_processes, watch).run()
    environment = machine() | engines(settings)
    report = summarise(asked, settings.auth.mode, measured, environment)
    sys.stdout.write((document(report).decode() if as_json else text(report)) + "\n")
    raise typer.Exit(0 if report.held else 1)


def _offered(
    settings: Settings, coupons: int | None, campaign: int | None, campaigns: int, engine: Engine
) -> tuple[int, Engine]:
    """Return stock and engine of the campaigns, new ones or the one that is named."""
    if (coupons is None) == (campaign is None) or (campaign is not None and campaigns > 1):
        raise typer.BadParameter("give --coupons for new campaigns, or --campaign for one there is")
    if campaign is None:
        return coupons or 0, engine
    found = fresh(Campaigns(partial(postgres.connect, settings.postgres)), CampaignId(campaign))
    return found.stock, found.engine


def _users(users: int | None, seconds: float | None, arrivals: Arrivals, twice: float) -> int:
    if (users is None) == (seconds is None):
        raise ValueError("give --users, or --seconds with a rate: each follows from the other")
    if users is not None:
        return users
    if arrivals.shape == "burst":
        raise ValueError("a burst takes no time: give --users")
    assert seconds is not None  # noqa: S101 - one of the two is given
    return max(1, round(arrivals.requests(seconds) / (1 + twice)))


def _connections(arrivals: Arrivals) -> int:
    if arrivals.shape == "burst":
        return CONNECTIONS_BURST
    highest = max(arrivals.rate_first, arrivals.rate_last)
    return min(CONNECTIONS_MAX, max(CONNECTIONS_MIN, round(highest * ANSWER_SECONDS)))


def _seed() -> int:
    return random.SystemRandom().randrange(1, 1_000_000)


def running_processes() -> Mapping[str, Sequence[int]]:
    """Return the process ids of the running local stack by role; empty where none is known."""
    status = subprocess.run(
        [sys.executable, "-m", "firstcome", "status", "--json"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    roles: dict[str, list[int]] = {}
    try:
        for process in json.loads(status.stdout)["processes"]:
            if process["pid"]:
                roles.setdefault(process["role"], []).append(process["pid"])
    except (ValueError, KeyError, TypeError):
        return {}
    return roles
