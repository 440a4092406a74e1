"""A drop while it runs, for people: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from firstcome.bench.drop import Progress

LINE_SECONDS = 1.0


@contextmanager
def watching(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Lend what a drop tells its progress to; the console decides how it is shown."""
    if console.is_terminal:
        with Live(console=console, transient=True, refresh_per_second=8) as live:
            yield lambda progress: live.update(Text(line(progress)))
        return
    yield Lines(console)


class Lines:
    """Prints a line when a stage begins, and then one a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._printed_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Print the progress, unless a line of the same stage has just been printed."""
        now = time.monotonic()
        if progress.stage == self._stage and now - self._printed_at < LINE_SECONDS * 0.9:
            return
        self._stage, self._printed_at = progress.stage, now
        self._console.print(line(progress), markup=False, highlight=False, soft_wrap=True)


def line(progress: Progress) -> str:
    """Return the progress as one line."""
    if not progress.requests:
        return f"{progress.stage} ..."
    return (
        f"{progress.seconds:6.1f} s  sent {progress.sent:,} of {progress.requests:,}  "
        f"accepted {progress.accepted:,}  refused {progress.refused:,}  "
        f"failed {progress.failed:,}  issued {progress.issued:,}"
    )
