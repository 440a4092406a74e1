"""Runs the short commands that prepare an engine: initdb, format, chown.

They are leashed to the thread that waits for them, so that a stop in mid-preparation leaves none.
"""

import subprocess
from pathlib import Path

from firstcome.errors import FirstcomeError
from firstcome.local.leash import leashed


class CommandFailed(FirstcomeError):
    """A command of a preparation ended with an error; its output is in the log."""


def run(command: list[str], log: Path, given: str = "", user: str = "") -> None:
    """Run to the end, output to `log`, `given` as standard input. Raises CommandFailed."""
    with log.open("ab") as output:
        done = subprocess.run(
            leashed(command, user=user),
            check=False,
            input=given.encode(),
            stdout=output,
            stderr=output,
        )
    if done.returncode:
        raise CommandFailed(f"{Path(command[0]).name} ended with exit code {done.returncode}")
