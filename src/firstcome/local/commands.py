"""Runs the short commands that prepare an engine: initdb, format, chown.

They are leashed to the thread that waits for them, so that a stop in mid-preparation leaves none.
"""

import signal
import subprocess
from pathlib import Path

from firstcome.errors import FirstcomeError
from firstcome.local.leash import leashed
from firstcome.local.process import group_of


class CommandFailed(FirstcomeError):
    """A command of a preparation ended with an error; its output is in the log."""


def run(command: list[str], log: Path, given: str = "", user: str | None = None) -> None:
    """Run to the end, output to `log`, `given` as standard input. Raises CommandFailed."""
    with log.open("ab") as output:
        done = subprocess.run(
            leashed(command, signal.SIGKILL),
            check=False,
            input=given.encode(),
            stdout=output,
            stderr=output,
            user=user,
            group=group_of(user),
            extra_groups=[] if user else None,
        )
    if done.returncode:
        raise CommandFailed(f"{Path(command[0]).name} ended with exit code {done.returncode}")
