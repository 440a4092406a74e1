"""`firstcome events ...`: what other systems are told, whether all of it was, and again.

Exit code 0: as asked, and with `check` nothing is missing; 1: something is, or no coupon stands at
the positions to be told again; 3: an engine is away.
"""

import sys
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from firstcome.cli.actor import actor
from firstcome.errors import Refused
from firstcome.eventlog import follower
from firstcome.relay.history import Completeness, EventHistory
from firstcome.relay.outbox import Range
from firstcome.settings import Settings

app = typer.Typer(help="What other systems are told of issued coupons.", no_args_is_help=True)

UNTOLD_SHOWN = 5
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def tail(
    campaign: Annotated[int | None, typer.Option(min=1, help="Only of this one.")] = None,
    beginning: Annotated[
        bool, typer.Option("--from-beginning", help="With all that the topic still holds.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="End after so many.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print events as they come, until Ctrl-C."""
    shown = 0
    try:
        for told in follower.follow(Settings.load().kafka, from_beginning=beginning):
            event = told.event
            if event is None or campaign not in (None, event.campaign_id):
                continue
            if json:
                line = msgspec.json.encode({"id": str(event.event_id), "event": event}).decode()
            else:
                line = (
                    f"{event.issued_at:%H:%M:%S.%f} campaign {event.campaign_id} "
                    f"position {event.position} {_shown(event.user_id)}"
                )
            print(line, flush=True)
            shown += 1
            if shown == count:
                return
    except KeyboardInterrupt:
        return


@app.command()
def check(
    campaign_ids: Annotated[
        list[int] | None, typer.Argument(min=1, help="Campaigns; none: all of them.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare issued coupons with the events on the topic."""
    found = EventHistory(Settings.load()).check(campaign_ids or [])
    verdicts = {each.is_complete for each in found}
    complete = False if False in verdicts else None if None in verdicts else True
    if json:
        campaigns = [_document(each) for each in found]
        _print_json({"complete": complete, "campaigns": campaigns})
    else:
        _print_table(found)
    raise typer.Exit(0 if complete else 1)


@app.command()
def replay(
    campaign_id: Annotated[int, typer.Argument(min=1, help="The campaign.")],
    first: Annotated[int | None, typer.Option(min=1, help="First position.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Last position.")] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only what the topic does not hold.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many, tell nothing.")] = False,
    json: Json = False,
) -> None:
    """Publish events again: a range of positions, or what is missing. Repeats carry the same id."""
    if not missing and (first is None or last is None):
        raise Refused("say which: --missing, or --first and --last")
    if first is not None and last is not None and first > last:
        raise Refused(f"--first {first} is behind --last {last}")
    history = EventHistory(Settings.load())
    (found,) = history.check([campaign_id])
    if missing and not found.whole:
        raise Refused(
            "the oldest events have left the topic, so what is missing is not known, and "
            "everything that is gone would be told again: say --first and --last"
        )
    ranges = _chosen(found, first or 1, last, missing=missing)
    count = sum(each.end - each.first for each in ranges)
    told = 0
    if not dry_run:
        with Progress(console=Console(stderr=True), disable=json or not ranges) as progress:
            task = progress.add_task("published", total=count)
            told = history.replay(ranges, actor(), lambda events: progress.advance(task, events))
    if json:
        _print_json({"campaign_id": campaign_id, "positions": count, "published": told})
    elif dry_run:
        print(f"{count:,} positions would be looked at, and told where a coupon was issued")
    else:
        print(f"{told:,} events were published again")
    raise typer.Exit(0 if told or dry_run or missing else 1)


def _shown(user_id: str) -> str:
    """Return it as it is, unless a stranger's event could do something to the terminal by it."""
    return user_id if user_id.isprintable() else ascii(user_id)


def _chosen(found: Completeness, first: int, last: int | None, *, missing: bool) -> list[Range]:
    every = [Range(found.campaign_id, first, (last or first) + 1)]
    if not missing:
        return every
    end = found.untold[-1].end if last is None and found.untold else (last or 0) + 1
    return [
        Range(each.campaign_id, max(first, each.first), min(end, each.end))
        for each in found.untold
        if max(first, each.first) < min(end, each.end)
    ]


def _document(found: Completeness) -> dict[str, Any]:
    untold = [{"first": each.first, "last": each.end - 1} for each in found.untold]
    return {**found._asdict(), "untold": untold, "complete": found.is_complete}


def _print_table(found: list[Completeness]) -> None:
    heads = ("campaign", "issued", "told", "waiting", "missing", "repeats", "strangers", "untold")
    table = Table(*heads, box=None, pad_edge=False)
    for each in found:
        counts = (each.issued, each.told, each.waiting, each.missing, each.repeats, each.strangers)
        untold = [
            str(one.first) if one.end == one.first + 1 else f"{one.first}-{one.end - 1}"
            for one in each.untold[:UNTOLD_SHOWN]
        ] + ["..."] * (len(each.untold) > UNTOLD_SHOWN)
        table.add_row(str(each.campaign_id), *(f"{n:,}" for n in counts), " ".join(untold))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if not all(each.whole for each in found):
        print(
            "the oldest events have left the topic: what is missing is not known", file=sys.stderr
        )


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
