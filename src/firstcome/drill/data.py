"""Faults of data: Redis comes back with nothing, with an old file, or with a torn one.

Redis may lose what it had, whole or in part; the gate's epoch carries the server's run_id, so that
nobody is admitted before a rebuild. What is done here happens while Redis is dead.
"""

import shutil
import signal
import time
from functools import partial
from pathlib import Path
from random import Random

from firstcome.drill.endings import Ended
from firstcome.drill.faults import Fault, Missed, Move
from firstcome.drill.processes import Processes

TORN_BYTES_MAX = 20_000


class RedisData:
    """The append-only folder of the stack's Redis, and a copy of it from earlier."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "redis" / "appendonlydir"
        self._copy = state / "redis" / "appendonlydir.earlier"
        self._copied = 0.0

    def remember(self) -> None:
        """Copy the folder as it is now, while Redis writes to it."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._folder, self._copy)
        self._copied = time.monotonic()

    def wipe(self) -> str:
        """Remove all; return what was done."""
        size = sum(file.stat().st_size for file in self._folder.iterdir())
        shutil.rmtree(self._folder)
        return f"{size} bytes of its data removed"

    def put_back(self) -> str:
        """Replace all by the copy, and copy that for the next time."""
        if not self._copy.exists():
            raise Missed("there is no earlier copy of the append-only folder")
        age = time.monotonic() - self._copied
        before = sum(file.stat().st_size for file in self._folder.iterdir())
        after = sum(file.stat().st_size for file in self._copy.iterdir())
        shutil.rmtree(self._folder)
        shutil.copytree(self._copy, self._folder)
        return f"its data of {age:.0f} s ago put back: {after} bytes instead of {before}"

    def tear(self, size: int) -> str:
        """Cut bytes off the end of the newest file."""
        newest = max(self._folder.glob("*.incr.aof"), key=lambda file: file.stat().st_mtime)
        before = newest.stat().st_size
        with newest.open("r+b") as file:
            file.truncate(max(0, before - size))
        return f"{newest.name} cut from {before} to {newest.stat().st_size} bytes"


def moves(processes: Processes) -> list[Move]:
    """Return what can become of the data of Redis."""
    data = RedisData(processes.stack.state)
    data.remember()
    return [
        Move("wipe", "redis", partial(_wiped, processes, data)),
        Move("old data", "redis", partial(_aged, processes, data)),
        Move("torn data", "redis", partial(_torn, processes, data)),
    ]


def wipe_redis(processes: Processes) -> None:
    """kill -9 of Redis and the loss of all that it had on disk; return when it works again."""
    fault = Ended(processes, "redis", signal.SIGKILL, RedisData(processes.stack.state).wipe)
    try:
        fault.inject()
    finally:
        fault.heal()


def _wiped(processes: Processes, data: RedisData, random: Random, seconds: float) -> Fault:
    return Ended(processes, "redis", signal.SIGKILL, data.wipe)


def _aged(processes: Processes, data: RedisData, random: Random, seconds: float) -> Fault:
    return Ended(processes, "redis", signal.SIGKILL, data.put_back)


def _torn(processes: Processes, data: RedisData, random: Random, seconds: float) -> Fault:
    size = random.randint(1, TORN_BYTES_MAX)
    return Ended(processes, "redis", signal.SIGKILL, partial(data.tear, size))
