"""A stack of a drill's own, whose processes are targets, and its settings.

Whatever the environment says of firstcome is left out, so that a drill means the same everywhere
and can never reach a stack that serves somebody.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from firstcome.bench.stack import RunningStack, settings_of, started
from firstcome.drill.processes import Processes
from firstcome.settings import Settings


class Stage(NamedTuple):
    """A running stack."""

    stack: RunningStack
    processes: Processes
    settings: Settings

    def names(self, role: str) -> list[str]:
        """Return the names of all processes of a kind."""
        return [
            each["name"] for each in self.processes.status()["processes"] if each["role"] == role
        ]


@contextmanager
def staged(say: Callable[[str], None] = print) -> Iterator[Stage]:
    """Start a stack with default settings, lend it, and remove it with all its data."""
    with (
        tempfile.TemporaryDirectory(prefix="firstcome-drill-") as folder,
        started(Path(folder) / "stack") as stack,
    ):
        yield Stage(stack, Processes(stack, say), settings_of(stack))
