"""`firstcome doctor` and `firstcome config show`: is everything fit, and what is set.

Exit code of doctor 0: no failure; 1: a failure; 3: an engine is away.
"""

import sys
from typing import Annotated

import msgspec
import typer

from firstcome.cli.configuration import app as config
from firstcome.doctor import Doctor, Finding, State
from firstcome.settings import Settings

app = typer.Typer()
app.add_typer(config, name="config")

MARKS = {State.OK: "ok", State.WARNING: "WARNING", State.FAILURE: "FAILURE", State.AWAY: "AWAY"}


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Examine machine, settings and engines; each finding says what to do."""
    findings = []
    for finding in Doctor(Settings.load()).examine():
        findings.append(finding)
        if not as_json:
            typer.echo(line(finding))
    if as_json:
        document = {
            "fit": not _exit_code(findings),
            "findings": [one._asdict() for one in findings],
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    raise typer.Exit(_exit_code(findings))


def line(finding: Finding) -> str:
    """Return a finding as people read it."""
    said = f"{MARKS[finding.state]:8} {finding.subject}: {finding.seen}"
    if finding.state is not State.OK:
        said += f"\n         {finding.meaning}: {finding.advice}"
    return said


def _exit_code(findings: list[Finding]) -> int:
    states = {finding.state for finding in findings}
    if State.AWAY in states:
        return 3
    return 1 if State.FAILURE in states else 0
