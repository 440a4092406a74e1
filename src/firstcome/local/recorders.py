"""As many recorders as are wanted: a number in wanted.json, which the supervisor follows.

Whoever wants another number replaces the file: `firstcome scale`, and the autoscaler. Recorders are
named recorder-1 to recorder-N; of too many the newest leave, by SIGTERM and in their own time.
"""

import os
from collections.abc import Callable

from firstcome.local.folder import StackFolder, read_json, write_json
from firstcome.local.process import Process

# A slip of the keyboard must not start a thousand processes; the same bound as for `up`.
RECORDERS_MAX = 64
ROLE = "recorder"


def wanted(folder: StackFolder) -> int | None:
    """Return how many recorders are wanted; None: nobody has said so yet."""
    said = read_json(folder.wanted)
    number = said.get("recorders") if isinstance(said, dict) else None
    return number if isinstance(number, int) and 1 <= number <= RECORDERS_MAX else None


def want(folder: StackFolder, recorders: int) -> None:
    """Say how many recorders are wanted, in one step."""
    write_json(folder.wanted, {"recorders": recorders})


class Recorders:
    """The supervisor's side: starts and ends recorders of a running stack."""

    def __init__(self, folder: StackFolder, recorders: int, make: Callable[[int], Process]) -> None:
        """`recorders`: how many the stack begins with; `make`: returns one, not started."""
        self.count = recorders
        self._folder = folder
        self._make = make
        self._seen: tuple[int, int] | None = None

    def follow(self, processes: list[Process], now: float) -> None:
        """Look for a new number, and let processes come and go; never blocks."""
        if self._has_changed():
            self.count = wanted(self._folder) or self.count
        here = {each.spec.name: each for each in processes if each.spec.role == ROLE}
        for name, process in here.items():
            if process.state == "stopped":
                processes.remove(process)
            elif _number(name) > self.count and process.state != "stopping":
                process.stop(now)
        for number in range(1, self.count + 1):
            if f"{ROLE}-{number}" not in here:
                # One that is leaving keeps its name, its port and its log until it has gone.
                process = self._make(number)
                processes.insert(_behind(processes), process)
                process.start(now)

    def _has_changed(self) -> bool:
        try:
            stat = os.stat(self._folder.wanted)
        except FileNotFoundError:
            return False
        seen = stat.st_mtime_ns, stat.st_ino
        changed, self._seen = seen != self._seen, seen
        return changed


def _behind(processes: list[Process]) -> int:
    """Return where the next recorder stands in the list: behind the others, for who reads it."""
    places = [at for at, each in enumerate(processes, 1) if each.spec.role == ROLE]
    return places[-1] if places else len(processes)


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
