"""`firstcome relay ...`: the replication slot that modes `wal` and `debezium` of the relay read.

Exit code 0: the slot is there and can be read, or was dropped; 1: it is not, or the command was
refused, the message says what to do; 3: PostgreSQL is away.
"""

import sys
from typing import Annotated, Any, Literal

import msgspec
import typer

from firstcome.processes.relay import preparation_of
from firstcome.relay.slot import Mode, SlotStatus
from firstcome.settings import Settings

_AFTERWARDS: dict[Mode, str] = {
    "wal": "what was committed since it was read last is published from the outbox by the relay "
    "that starts next",
    "debezium": "what was committed since it was read last waits in the outbox: `firstcome events "
    "replay CAMPAIGN --missing` publishes it; the connector's offsets have to go, see "
    "docs/events.md",
}
app = typer.Typer(help="Prepare and look at what a relay needs.", no_args_is_help=True)

ForMode = Annotated[
    Literal["wal", "debezium"] | None,
    typer.Option("--mode", help="Which relay; default: relay.mode, else wal."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def prepare(
    mode: ForMode = None,
    first: Annotated[
        bool, typer.Option("--first", help="Only if it was never made: one that is lost stays so.")
    ] = False,
    json: Json = False,
) -> None:
    """Make publications and replication slot; replace one that is lost. Repeating is harmless."""
    settings = Settings.load()
    chosen = _mode(settings, mode)
    if settings.relay.mode != chosen:
        print(
            f"relay.mode is {settings.relay.mode}: a slot that no relay reads keeps the "
            f"write-ahead log until the disk is full; set FIRSTCOME_RELAY__MODE={chosen}, or give "
            "`firstcome relay drop`",
            file=sys.stderr,
        )
    preparation = preparation_of(settings, chosen)
    done = preparation.prepare_first() if first else preparation.prepare()
    if json:
        _print_json(done._asdict())
        return
    if done.replaced:
        print(f"{done.replaced}; {_AFTERWARDS[done.mode]}", file=sys.stderr)
    print(f"replication slot {done.slot}: {'made' if done.created else 'is there already'}")
    print(f"publications made: {', '.join(done.publications_made) or 'none, they exist'}")


@app.command()
def status(mode: ForMode = None, json: Json = False) -> None:
    """Show whether the slot is there, who reads it and how much of the log it keeps."""
    settings = Settings.load()
    found = preparation_of(settings, _mode(settings, mode)).status()
    if json:
        _print_json(found._asdict() | {"usable": found.usable})
    else:
        for name, value in _shown(found).items():
            print(f"{name:10} {value}")
    if not found.usable:
        raise typer.Exit(1)


@app.command()
def drop(mode: ForMode = None, json: Json = False) -> None:
    """Drop the slot when no relay is to read it any more: unread, it keeps the log."""
    settings = Settings.load()
    preparation = preparation_of(settings, _mode(settings, mode))
    dropped = preparation.drop()
    if json:
        _print_json({"slot": preparation.slot, "mode": preparation.mode, "dropped": dropped})
    else:
        print(f"replication slot {preparation.slot}: {'dropped' if dropped else 'was not there'}")


def _mode(settings: Settings, chosen: Mode | None) -> Mode:
    if chosen is not None:
        return chosen
    return "debezium" if settings.relay.mode == "debezium" else "wal"


def _shown(found: SlotStatus) -> dict[str, Any]:
    reader = f"the server's process {found.active_pid}" if found.active_pid else "nobody"
    left = "" if found.left_bytes is None else f", {_mib(found.left_bytes)} more until it is lost"
    return {
        "slot": f"{found.slot} ({found.mode})",
        "state": f"{found.state}{': ' if found.reason else ''}{found.reason}",
        "read by": reader,
        "confirmed": found.confirmed or "-",
        "keeps": "-" if found.retained_bytes is None else f"{_mib(found.retained_bytes)}{left}",
    }


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _print_json(document: object) -> None:
    print(msgspec.json.encode(document).decode())
