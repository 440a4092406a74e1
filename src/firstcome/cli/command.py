"""The command `firstcome`: one file per group of verbs.

Exit codes: 0 what was asked holds; 1 it does not (a law broken, a command refused);
2 wrong usage or settings; 3 an engine or process is unavailable. `--json` prints one
JSON document on standard output; everything meant for people goes to standard error then.
"""

import sys

import typer

from firstcome.cli import (
    bench,
    campaign,
    dead_letters,
    doctor,
    drill,
    drop,
    events,
    failpoints,
    faults,
    reconcile,
    relay,
    scale,
    serve,
    stack,
    token,
    verify,
)
from firstcome.errors import FirstcomeError, InvalidSettings, Unavailable

app = typer.Typer(
    name="firstcome",
    help="First come, first served coupon drops.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (stack, scale, serve, drop, verify, reconcile, token, doctor):
    app.add_typer(group.app)
app.add_typer(campaign.app, name="campaign")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(events.app, name="events")
app.add_typer(failpoints.app, name="failpoints")
app.add_typer(relay.app, name="relay")
drill.app.add_typer(faults.app)
app.add_typer(drill.app, name="drill")
app.add_typer(bench.app, name="bench")
app.command("migrate")(campaign.migrate)


def main() -> None:
    """Run the command line; errors of ours become one message and an exit code."""
    try:
        app()
    except FirstcomeError as error:
        print(f"firstcome: {error}", file=sys.stderr)
        raise SystemExit(_exit_code(error)) from error


def _exit_code(error: FirstcomeError) -> int:
    if isinstance(error, InvalidSettings):
        return 2
    return 3 if isinstance(error, Unavailable) else 1
