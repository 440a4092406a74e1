"""`firstcome verify`: whether every law of the promise holds, over gate, log and database.

Exit code 0: all laws hold; 1: one is broken; 3: an engine is away or a gate is shut, so
nothing can be said.
"""

import sys
from typing import Annotated, Any

import msgspec
import typer

from firstcome.laws import LawResult, Laws, Violation
from firstcome.settings import Settings

app = typer.Typer()

LISTED_MAX = 20  # violations of one law in words; --json lists more


@app.command()
def verify(
    campaign: Annotated[
        list[int] | None, typer.Option(help="Number of a campaign; may be repeated. All of them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Check the laws; claims younger than laws.grace_seconds are under way, not forgotten."""
    results = Laws(Settings.load()).check(campaign or None)
    held = all(result.held for result in results)
    if as_json:
        sys.stdout.write(msgspec.json.encode(document(results)).decode() + "\n")
    else:
        sys.stdout.write(text(results))
    raise typer.Exit(0 if held else 1)


def document(results: list[LawResult]) -> dict[str, Any]:
    """Return what --json prints."""
    laws = [
        msgspec.to_builtins(result)
        | {"violations": [violation._asdict() for violation in result.violations]}
        for result in results
    ]
    return {"held": all(result.held for result in results), "laws": laws}


def text(results: list[LawResult]) -> str:
    """Return what people read."""
    lines = []
    for result in results:
        verdict = "holds " if result.held else "BROKEN"
        lines.append(f"{result.law} {verdict} {result.title}")
        lines.append(f"          {result.checked:,} checked: {result.covers}")
        lines += [f"          note: {note}" for note in result.notes]
        lines += [f"       -> {_line(violation)}" for violation in result.violations[:LISTED_MAX]]
        more = result.violations_count - min(LISTED_MAX, len(result.violations))
        if more > 0:
            lines.append(f"       -> and {more:,} more; --json lists more of them")
    broken = [result.law for result in results if not result.held]
    end = f"broken: {', '.join(broken)}" if broken else f"all {len(results)} laws hold"
    return "\n".join([*lines, end]) + "\n"


def _line(violation: Violation) -> str:
    where = [
        f"{name} {value}"
        for name, value in (
            ("campaign", violation.campaign_id),
            ("position", violation.position),
            ("user", violation.user_id),
        )
        if value is not None
    ]
    return f"{violation.kind} {', '.join(where)}: {violation.detail}".replace(" :", ":")
