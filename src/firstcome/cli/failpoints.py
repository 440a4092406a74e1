"""`firstcome failpoints`: break a process at a named place, once, to see that nothing is lost.

Works on processes that were started with `failpoints.folder` set, on the same machine.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from firstcome import failpoints
from firstcome.errors import InvalidSettings, Refused
from firstcome.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
app = typer.Typer(no_args_is_help=True, help="Named places where a test breaks a process.")


@app.command("list")
def list_points(as_json: AsJson = False) -> None:
    """Show every point, what waits for a process, and what has hit."""
    folder = Settings.load().failpoints.folder
    armed = [path.name for path in failpoints.armed(folder)] if folder else []
    taken = [path.name for path in failpoints.taken(folder)] if folder else []
    if as_json:
        document = {"points": dict(failpoints.POINTS), "armed": armed, "taken": taken}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    for point, where in failpoints.POINTS.items():
        typer.echo(f"{point:22} {where}")
    if folder is None:
        typer.echo("all are off: failpoints.folder (FIRSTCOME_FAILPOINTS__FOLDER) is not set")
    for state, names in (("armed", armed), ("taken", taken)):
        for name in names:
            typer.echo(f"{state}: {name}")


@app.command()
def arm(
    point: Annotated[str, typer.Argument(help="A point; see `firstcome failpoints list`.")],
    action: Annotated[str, typer.Argument(help="kill, 'pause SECONDS', raise or drop.")],
    role: Annotated[
        str | None,
        typer.Option(help="Only for this kind: api, recorder, sweeper, rebuild (the verb)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let the next process that comes by break there, once."""
    try:
        armed = failpoints.arm(_folder(), point, action, role=role)
    except ValueError as error:
        raise Refused(f"nothing was armed: {error}") from error
    _say({"armed": armed.name, "action": action}, f"armed: {armed.name}: {action}", as_json)


@app.command()
def disarm(as_json: AsJson = False) -> None:
    """Take back whatever no process has met yet."""
    names = failpoints.disarm(_folder())
    _say({"disarmed": names}, "\n".join(f"disarmed: {name}" for name in names), as_json)


def _say(document: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    elif text:
        typer.echo(text)


def _folder() -> Path:
    folder = Settings.load().failpoints.folder
    if folder is None:
        raise InvalidSettings(
            "failpoints.folder (FIRSTCOME_FAILPOINTS__FOLDER) is not set: no process looks for "
            "failpoints. Set it for the processes and for this command alike"
        )
    return folder
