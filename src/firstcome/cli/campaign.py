"""`firstcome campaign ...` and `firstcome migrate`.

Each verb is one call of firstcome.campaigns. A change is true once PostgreSQL has it;
the verbs that change what the gate does then wait a little until the gate shows it,
and say so when it does not: the sweeper brings it there, as soon as it runs.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, TextIO

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from firstcome import postgres
from firstcome.campaigns import KEEP, Campaigns, Time, Winner
from firstcome.campaigns import archive as put_away
from firstcome.cli.actor import actor
from firstcome.cli.beside import GATE_TIMEOUT_SECONDS, gate_follows, gate_is_gone, shown
from firstcome.console.audit import AuditTrail
from firstcome.coupons import CouponCodes
from firstcome.errors import InvalidSettings
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate.session import GateSession
from firstcome.model import Campaign, CampaignId, CampaignState, Engine
from firstcome.settings import Settings

app = typer.Typer(help="Make, look at and change campaigns.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(min=1, help="The campaign's number.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
NameOption = Annotated[str | None, typer.Option("--name", help="What people read.")]
OpensAt = Annotated[str | None, typer.Option("--opens-at", help="ISO 8601 with a zone; '': none.")]
ClosesAt = Annotated[
    str | None, typer.Option("--closes-at", help="ISO 8601 with a zone; '': none.")
]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What people read.")],
    stock: Annotated[int, typer.Option(min=1, help="How many coupons.")],
    opens_at: OpensAt = None,
    closes_at: ClosesAt = None,
    engine: Annotated[Engine, typer.Option(help="What carries the claims.")] = Engine.KAFKA,
    json: Json = False,
) -> None:
    """Make a campaign; it opens at its time, or at once."""
    settings = Settings.load()
    made = _campaigns(settings).create(
        name=name,
        stock=stock,
        opens_at=_time(opens_at or "", "--opens-at"),
        closes_at=_time(closes_at or "", "--closes-at"),
        engine=engine,
        actor=actor(),
    )
    _print_changed(settings, made, json)


@app.command("list")
def list_all(json: Json = False) -> None:
    """Show every campaign."""
    found = _campaigns(Settings.load()).list()
    if json:
        _print_json({"campaigns": [campaign._asdict() for campaign in found]})
        return
    table = Table("id", "name", "engine", "state", "stock", "opens", "closes", box=None)
    for each in found:
        times = ("" if at is None else at.isoformat() for at in (each.opens_at, each.closes_at))
        table.add_row(
            str(each.campaign_id), each.name, each.engine, each.state, f"{each.stock:,}", *times
        )
    Console().print(table)


@app.command()
def show(campaign_id: Id, json: Json = False) -> None:
    """Show one campaign, with what is left and what became of its claims."""
    settings = Settings.load()
    found = shown(_campaigns(settings), settings.redis, CampaignId(campaign_id))
    if json:
        _print_json(asdict(found))
        return
    for field, value in asdict(found).items():
        print(f"{field:14} {'' if value is None else value}")


@app.command()
def edit(
    campaign_id: Id,
    name: NameOption = None,
    opens_at: OpensAt = None,
    closes_at: ClosesAt = None,
    json: Json = False,
) -> None:
    """Change the name or the times; what is not named stays."""
    settings = Settings.load()
    changed = _campaigns(settings).edit(
        CampaignId(campaign_id),
        actor=actor(),
        name=KEEP if name is None else name,
        opens_at=_changed_time(opens_at, "--opens-at"),
        closes_at=_changed_time(closes_at, "--closes-at"),
    )
    _print_changed(settings, changed, json)


@app.command()
def pause(campaign_id: Id, json: Json = False) -> None:
    """Admit nobody until it is resumed; who is in stays in."""
    settings = Settings.load()
    changed = _campaigns(settings).pause(CampaignId(campaign_id), actor())
    _print_changed(settings, changed, json)


@app.command()
def resume(campaign_id: Id, json: Json = False) -> None:
    """Admit again."""
    settings = Settings.load()
    changed = _campaigns(settings).resume(CampaignId(campaign_id), actor())
    _print_changed(settings, changed, json)


@app.command()
def close(campaign_id: Id, json: Json = False) -> None:
    """Admit nobody any more, for good; who is in stays in."""
    settings = Settings.load()
    changed = _campaigns(settings).close(CampaignId(campaign_id), actor())
    _print_changed(settings, changed, json)


@app.command()
def archive(campaign_id: Id, json: Json = False) -> None:
    """Put a closed campaign away, for good: its keys leave Redis, its history stays.

    Users go on seeing their coupons and their status. Refused while claims are under way or dead
    letters wait for a decision.
    """
    settings = Settings.load()
    open_gate = partial(GateSession.open, settings.redis)
    changed = put_away(_campaigns(settings), open_gate, CampaignId(campaign_id), actor())
    _print_changed(settings, changed, json)


@app.command()
def restock(
    campaign_id: Id,
    coupons: Annotated[int, typer.Argument(min=1, help="How many more.")],
    json: Json = False,
) -> None:
    """Add coupons to the stock."""
    settings = Settings.load()
    changed = _campaigns(settings).restock(CampaignId(campaign_id), coupons, actor())
    _print_changed(settings, changed, json)


@app.command()
def export(
    campaign_id: Id,
    out: Annotated[Path | None, typer.Option(help="File to write; else standard output.")] = None,
    json: Json = False,
) -> None:
    """Write who holds a coupon as CSV, in the order of positions."""
    settings = Settings.load()
    if settings.coupons.code_key is None:
        raise InvalidSettings(
            "coupons.code_key (FIRSTCOME_COUPONS__CODE_KEY) is not set, so codes cannot be derived "
            "and nothing was written: set it to the key that the api uses"
        )
    if json and out is None:
        raise typer.BadParameter("--json needs --out: the CSV takes standard output")
    codes = CouponCodes(settings.coupons.code_key.get_secret_value().encode())
    campaigns = _campaigns(settings, codes)
    campaigns.show(CampaignId(campaign_id))
    # Nothing is changed, but codes are worth money: who has taken them is in the audit.
    AuditTrail(_connecting(settings)).note(actor(), "campaign.export", {}, CampaignId(campaign_id))
    with _opened(out) as file:
        rows = _write_csv(file, campaigns.winners(CampaignId(campaign_id)))
    if json:
        _print_json({"campaign_id": campaign_id, "rows": rows, "out": str(out)})
    else:
        print(f"{rows:,} rows written", file=sys.stderr)


def migrate(json: Json = False) -> None:
    """Bring the database's tables and the log's topics up to date; repeating it is harmless."""
    settings = Settings.load()
    migrated = postgres.migrate(settings.postgres)
    created = LogAdmin(settings.kafka).create_topics()
    if json:
        _print_json({"schema": migrated._asdict(), "topics_created": created})
        return
    came = "" if migrated.before == migrated.after else f" (was {migrated.before or 'empty'})"
    print(f"schema at revision {migrated.after}{came}")
    print(f"topics created: {', '.join(created) or 'none, they exist'}")


def _campaigns(settings: Settings, codes: CouponCodes | None = None) -> Campaigns:
    connect = _connecting(settings)
    return Campaigns(connect, codes.code) if codes else Campaigns(connect)


def _connecting(settings: Settings) -> Callable[[], postgres.Connection]:
    return lambda: postgres.connect(settings.postgres, name="firstcome-cli")


def _time(text: str, option: str) -> datetime | None:
    """Return the time, None for an empty text."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not ISO 8601", param_hint=option) from error
    if at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no zone: add Z or +09:00", param_hint=option)
    return at.astimezone(UTC)


def _changed_time(text: str | None, option: str) -> Time:
    return KEEP if text is None else _time(text, option)


def _print_changed(settings: Settings, campaign: Campaign, json: bool) -> None:
    """Print the campaign, once the gate has followed or the wait for it is over."""
    archived = campaign.state is CampaignState.ARCHIVED
    followed = (gate_is_gone if archived else gate_follows)(settings.redis, campaign)
    if not followed:
        _warn(
            f"campaign {campaign.campaign_id} is changed, but its gate does not show it after "
            f"{GATE_TIMEOUT_SECONDS:.0f} s: it will, once a sweeper runs (`firstcome status`)"
        )
    if json:
        _print_json(campaign._asdict() | {"gate_follows": followed})
    else:
        print(
            f"campaign {campaign.campaign_id} {campaign.name!r}: {campaign.state}, "
            f"stock {campaign.stock:,}, engine {campaign.engine}"
        )


def _write_csv(file: TextIO, winners: Iterator[Winner]) -> int:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Winner._fields)
    rows = 0
    for winner in winners:
        times = (at and at.isoformat() for at in (winner.requested_at, winner.issued_at))
        writer.writerow([winner.position, winner.user_id, winner.code, *times])
        rows += 1
    return rows


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
    else:
        with out.open("w", encoding="utf-8", newline="") as file:
            yield file


def _print_json(document: object) -> None:
    print(msgspec.json.encode(document).decode())


def _warn(text: str) -> None:
    print(f"firstcome: {text}", file=sys.stderr)
