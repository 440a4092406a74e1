"""`firstcome drill faults`: a seeded schedule of many faults over a stack of its own, judged.

Nothing of yours is touched: the stack lies in a temporary folder and is removed at the end, after
Ctrl-C as well. Exit code 0: no law was broken, and as much was broken and checked as was asked.
"""

import math
import random
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from firstcome.drill.ledger import Entry, Ledger, text
from firstcome.drill.leg import Leg, Variant
from firstcome.drill.quota import Quota
from firstcome.model import Engine
from firstcome.settings import RelayMode

app = typer.Typer()

SEED_MAX = 1_000_000
# A leg has a stack of its own; the history of one fits into memory.
LEG_MINUTES_MAX = 20.0


@app.command()
def faults(  # noqa: PLR0913 - one argument an option
    seed: Annotated[int | None, typer.Option(help="Repeats crowd and schedule.")] = None,
    minutes: Annotated[float, typer.Option(min=1, max=1440, help="How long in all.")] = 15.0,
    faults: Annotated[
        int, typer.Option(min=0, help="How many faults must have been effective.")
    ] = 0,
    claims: Annotated[
        int, typer.Option(min=0, help="How many users must have claimed; each counts once.")
    ] = 0,
    kinds: Annotated[
        int, typer.Option(min=0, help="Of how many kinds the effective faults must be.")
    ] = 0,
    targets: Annotated[
        int, typer.Option(min=0, help="How many targets they must have; api-1 and api-2 are one.")
    ] = 0,
    rate: Annotated[float, typer.Option(min=150, max=2000, help="Visitors a second.")] = 320.0,
    engine: Annotated[Engine, typer.Option(help="The engine of all campaigns.")] = Engine.KAFKA,
    relay: Annotated[RelayMode, typer.Option(help="Who publishes issued coupons.")] = "polling",
    brokers: Annotated[
        Literal["1", "3"],
        typer.Option(help="Kafka brokers; of 3, which keep three copies, one at a time breaks."),
    ] = "1",
    only: Annotated[
        list[str] | None, typer.Option(help="A kind, such as `freeze`; may be repeated.")
    ] = None,
    logs: Annotated[
        Path | None,
        typer.Option(
            help="Folder that gets the stack's logs if a law was broken; else a temporary one."
        ),
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Folder of faults.jsonl and faults.md, to add this run to.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Let faults loose on a stack under load, one about every ten seconds, and check every law."""
    seed = random.SystemRandom().randrange(SEED_MAX) if seed is None else seed
    _say(f"seed {seed}")
    # Now, and not after the run: a folder that cannot be made would cost all of it.
    kept = None if ledger is None else Ledger(ledger)
    variant = Variant(engine, relay, int(brokers))
    numbers = range(math.ceil(minutes / LEG_MINUTES_MAX))
    outcomes = [
        Leg(seed + n * SEED_MAX, rate, _say, variant=variant, kinds=only or (), logs=logs).run(
            minutes * 60 / len(numbers)
        )
        for n in numbers
    ]
    entry = Entry.of(seed, rate, outcomes, engine=engine, relay=relay, brokers=int(brokers))
    if kept is not None:
        kept.append(entry)
    sys.stdout.write((msgspec.json.encode(entry).decode() if as_json else text(entry)) + "\n")
    lacking = Quota(faults, claims, kinds, targets).lacking(entry)
    for each in lacking:
        _say(each)
    if entry.violations:
        _say(f"{len(entry.violations)} violations; repeat: firstcome drill faults --seed {seed}")
    raise typer.Exit(1 if lacking or entry.violations else 0)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
