"""`firstcome scale`: more or fewer recorders while the local stack runs."""

import json
import sys
from typing import Annotated, Literal

import typer

from firstcome.local.folder import StackFolder
from firstcome.local.recorders import RECORDERS_MAX
from firstcome.local.stack import Stack
from firstcome.settings import state_folder

app = typer.Typer()


@app.command()
def scale(
    role: Annotated[Literal["recorder"], typer.Argument(help="What there is to be more of.")],
    count: Annotated[
        int | None, typer.Argument(min=1, max=RECORDERS_MAX, help="How many; none: only look.")
    ] = None,
    wait_seconds: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds until all of them have to be ready.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Say how many recorders the local stack should have, and wait until it has them.

    Those that leave finish what they have read. The number is kept over restarts. More than the
    log has partitions are spares. Exit code 0 only if as many as wanted are ready.
    """
    stack = Stack(StackFolder(state_folder()))
    before = stack.recorders()
    if count is not None:
        stack.scale(count)
        stack.await_recorders(count, wait_seconds)
    told = {"role": role, "before": before, "wanted": stack.recorders(), **stack.counted(role)}
    if as_json:
        print(json.dumps(told))
    else:
        print(
            f"{told['wanted']} {role}s are wanted, {told['ready']} of {told['running']} are ready"
        )
        if count is not None and stack.counted("autoscaler")["running"]:
            print(
                "the autoscaler is at work: it decides anew after its cooldown, at the latest",
                file=sys.stderr,
            )
    if told["ready"] != told["wanted"] or told["running"] != told["wanted"]:
        raise typer.Exit(1)
