"""`firstcome up | down | status | logs`: the local stack.

Only Python is needed: PostgreSQL, Redis, Kafka and Java come as packages. Everything lies in one
folder (FIRSTCOME_STATE, default ./.firstcome), so that stacks can run side by side. With --json the
addresses hold their passwords; tables leave them out.
"""

import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.status import Status as Spinner
from rich.table import Table

from firstcome.local.folder import StackFolder
from firstcome.local.identity import Identity
from firstcome.local.recorders import RECORDERS_MAX, wanted
from firstcome.local.shape import Shape
from firstcome.local.stack import Stack, StartFailed
from firstcome.local.tail import follow, last_lines
from firstcome.settings import RelayMode, state_folder

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
FAILURE_LINES = 20
NOT_RUNNING, OTHER_SHAPE = 3, 1


@app.command()
def up(  # noqa: PLR0913 - one argument per option
    api: Annotated[int | None, typer.Option(min=1, max=64, help="Api processes.")] = None,
    recorders: Annotated[
        int | None,
        typer.Option(min=1, max=RECORDERS_MAX, help="Recorders; else as many as before."),
    ] = None,
    brokers: Annotated[
        Literal["1", "3"] | None, typer.Option(help="Kafka brokers; 3 keep three copies.")
    ] = None,
    auth: Annotated[
        Literal["jwt", "gateway"] | None, typer.Option(help="Signed tokens, or X-User-Id.")
    ] = None,
    broker: Annotated[
        Literal["kafka", "external"] | None,
        typer.Option(help="external: yours, at FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS."),
    ] = None,
    relay: Annotated[
        RelayMode | None,
        typer.Option(help="Who publishes issued coupons; see docs/events.md."),
    ] = None,
    monitoring: Annotated[
        bool | None,
        typer.Option("--monitoring", help="With Prometheus and Alertmanager, if installed."),
    ] = None,
    autoscale: Annotated[
        bool | None,
        typer.Option("--autoscale/--no-autoscale", help="Recorders come and go with their lag."),
    ] = None,
    engines_only: Annotated[bool, typer.Option("--engines-only", hidden=True)] = False,
    shape: Annotated[
        str, typer.Option(hidden=True, help="Further fields of the shape, as JSON; for drills.")
    ] = "{}",
    as_json: AsJson = False,
) -> None:
    """Start the local stack and wait until all of it is ready. A running one is left as it is."""
    asked: dict[str, Any] = {"api": api, "recorders": recorders, "auth": auth, "broker": broker}
    asked |= {"brokers": int(brokers) if brokers else None, "relay": relay}
    asked |= {"engines_only": engines_only, "monitoring": monitoring, "autoscale": autoscale}
    asked = {name: value for name, value in asked.items() if value is not None} | json.loads(shape)
    stack = Stack(StackFolder(state_folder()))
    ran = stack.folder.supervisor() is not None
    kept = {"brokers": Identity.of(stack.folder).brokers, "recorders": wanted(stack.folder) or 1}
    try:
        with _Progress(quiet=ran).shown() as progress:
            status = stack.up(Shape(**{**kept, **asked}), progress.see)
    except StartFailed as failure:
        _print_failure(stack, failure)
        raise
    _print_status(status, as_json)
    if not as_json and not engines_only:
        print(_how_to_ask(status))
    other = {name: value for name, value in asked.items() if status["shape"][name] != value}
    if ran:
        _say("the local stack was running already")
    if other:
        _say(
            f"but not as asked ({_options(other)}): it was left as it is. "
            "`firstcome down`, then `firstcome up` with these options"
        )
        raise typer.Exit(OTHER_SHAPE)


@app.command()
def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove its data as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the local stack: answers owed are given, what was taken is recorded. Data stays."""
    stack = Stack(StackFolder(state_folder()))
    begun = time.monotonic()
    ran = stack.down(wipe)
    if as_json:
        print(json.dumps({"state": "stopped", "was_running": ran, "wiped": wipe}))
        return
    stopped = f"stopped after {time.monotonic() - begun:.1f} s" if ran else "nothing was running"
    print(f"{stopped}; {'all data removed' if wipe else f'data stays in {stack.folder.path}'}")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show the local stack's processes and addresses. Exit code 0 only if all of them are ready."""
    found = Stack(StackFolder(state_folder())).status()
    _print_status(found, as_json)
    processes = found["processes"]
    if found["state"] != "running" or any(each["state"] != "ready" for each in processes):
        raise typer.Exit(NOT_RUNNING)


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="A process or role; default: all.")] = None,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Of each process.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document; with --follow one a line.")
    ] = False,
) -> None:
    """Print the last log lines of the local stack."""
    folder = StackFolder(state_folder())
    files = sorted(folder.logs.glob("*.log"))
    names = [file.stem for file in files]
    if name is not None:
        files = [file for file in files if file.stem == name or file.stem.startswith(f"{name}-")]
    if not files:
        _say(f"no logs{f' of {name}' if name else ''}; there are: {', '.join(names) or 'none'}")
        raise typer.Exit(1)
    last = [(file, line) for file in files for line in last_lines(file, lines)]
    if as_json and not follow_:
        print(json.dumps({"lines": [_line_document(*each) for each in last]}))
        return

    def show(file: Path, line: str) -> None:
        if as_json:
            print(json.dumps(_line_document(file, line)), flush=True)
        else:
            print(f"{file.stem:<12} {line}" if len(files) > 1 else line, flush=True)

    with suppress(KeyboardInterrupt):
        for each in chain(last, follow(files) if follow_ else ()):
            show(*each)


def _line_document(file: Path, line: str) -> dict[str, str]:
    return {"process": file.stem, "line": line}


class _Progress:
    """Says what has become ready: one line each, and a spinner for the rest on a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._begun = time.monotonic()
        self._said: set[tuple[str, str]] = set()
        self._spinner: Spinner | None = None

    @contextmanager
    def shown(self) -> "Iterator[_Progress]":
        if not self._console.is_terminal:
            yield self
            return
        with self._console.status("starting the local stack") as self._spinner:
            yield self

    def see(self, status: dict[str, Any]) -> None:
        waiting = []
        for process in status["processes"]:
            name, state = process["name"], process["state"]
            if state == "starting":
                waiting.append(name)
            elif (name, state) not in self._said:
                self._said.add((name, state))
                seconds = time.monotonic() - self._begun
                self._console.print(f"{name:<12} {state:<12} {seconds:5.1f} s")
        if self._spinner is not None and waiting:
            self._spinner.update(f"waiting for {', '.join(waiting)}")


def _print_status(status: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(status))
        return
    if status["state"] == "stopped":
        print("the local stack does not run: `firstcome up` starts it")
        return
    table = Table("process", "state", "pid", "restarts", "address", box=None, pad_edge=False)
    for process in status["processes"]:
        pid = str(process["pid"] or "")
        address = _address(status["urls"].get(process["role"]))
        restarts = str(process["restarts"])
        table.add_row(process["name"], process["state"], pid, restarts, address)
    # Wide enough for three brokers where nobody looks at the width, as in a pipe.
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def _address(url: str | None) -> str:
    """Return an address without its password."""
    if url is None or "@" not in url:
        return url or ""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"


def _how_to_ask(status: dict[str, Any]) -> str:
    api = f"{status['urls']['api']}/v1"
    settings = StackFolder(state_folder()).settings
    program = "firstcome"
    if shutil.which(program) is None:  # the environment is not activated
        program = shlex.quote(str(Path(sys.executable).with_name(program)))
    who = f'-H "Authorization: Bearer $({program} token alice)"'
    if status["shape"]["auth"] == "gateway":
        who = "-H 'X-User-Id: alice'"
    console = (
        f"console: {status['urls']['console']}  (sign in with any name; "
        f"this prints the key: grep operator_key {shlex.quote(str(settings))})"
    )
    claim = f"claim as alice from campaign 1: curl -X POST {who} {api}/campaigns/1/issuances"
    return f"{console}\n{claim}\nher coupons: curl {who} {api}/users/me/coupons"


def _print_failure(stack: Stack, failure: StartFailed) -> None:
    log = stack.folder.log(failure.process)
    _say(f"last lines of {log}:")
    for line in last_lines(log, FAILURE_LINES):
        print(f"  {line}", file=sys.stderr)


def _options(asked: dict[str, Any]) -> str:
    words = []
    for name, value in asked.items():
        flag = f"--{name.replace('_', '-')}"
        if value is False:
            flag = f"no {flag}"
        words.append(flag if isinstance(value, bool) else f"{flag} {value}")
    return ", ".join(words)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
