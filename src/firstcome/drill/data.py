"""Faults of data: an engine comes back with less than it had.

Redis may lose what it had, whole or in part; the gate's epoch carries the server's run_id, so that
nobody is admitted before a rebuild. The only broker may lose the end of its log, as at a power
failure: what was acknowledged and not yet recorded is then in the journal alone, and the sweeper
records it. What is done here happens while the engine is dead.
"""

import shutil
import signal
import time
from functools import partial
from pathlib import Path
from random import Random

from firstcome.drill.endings import Ended
from firstcome.drill.eventually import wait
from firstcome.drill.faults import Fault, Missed, Move
from firstcome.drill.processes import Processes
from firstcome.eventlog.events import ISSUANCE_REQUESTED

TORN_BYTES_MAX = 20_000
TAIL_BYTES_MAX = 5_000
TAIL_SECONDS = 5.0
# The age at which a claim is overdue, and two ticks of the sweeper; by default 25 s and 2 s.
SETTLED_SECONDS = 30.0


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

    def remember_as(self, lost: Path) -> None:
        """Keep what was replaced as the earlier copy of the next time."""
        lost.rename(self._copy)
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
        lost = self._folder.with_name("appendonlydir.lost")
        self._folder.rename(lost)
        self._copy.rename(self._folder)
        self.remember_as(lost)
        return f"its data of {age:.0f} s ago put back: {after} bytes instead of {before}"

    def tear(self, size: int) -> str:
        """Cut bytes off the end of the newest file."""
        newest = max(self._folder.glob("*.incr.aof"), key=lambda file: file.stat().st_mtime)
        before = newest.stat().st_size
        with newest.open("r+b") as file:
            file.truncate(max(0, before - size))
        return f"{newest.name} cut from {before} to {newest.stat().st_size} bytes"


class BrokerTail:
    """The ends of the log of claims of the stack's only broker."""

    def __init__(self, state: Path) -> None:
        self._data = state / "kafka-1" / "data"

    def tear(self, size: int) -> str:
        """Cut bytes off each partition that was written to just before; return what was done."""
        began = time.time() - TAIL_SECONDS
        torn = []
        for segment in self._data.glob(f"{ISSUANCE_REQUESTED}-*/*.log"):
            before = segment.stat()
            if before.st_mtime > began and before.st_size > 0:
                with segment.open("r+b") as file:
                    file.truncate(max(0, before.st_size - size))
                torn.append(f"{segment.parent.name.rpartition('-')[2]}: {before.st_size}")
        if not torn:
            raise Missed("no partition was written to just before")
        return f"{size} bytes less in partitions of (number: bytes) {', '.join(torn)}"


class TornLog:
    """The broker dies and loses the end of its log; nothing else may break until all is settled.

    Redis has the only other copy of what was lost, until the sweeper has recorded it.
    """

    def __init__(self, broker: Ended) -> None:
        self._broker = broker

    def inject(self) -> str:
        """End the broker and cut its log."""
        return self._broker.inject()

    def heal(self) -> str:
        """Return when it works again, and the sweeper has had its time."""
        healed = self._broker.heal()
        wait(SETTLED_SECONDS)
        return healed


def moves(processes: Processes) -> list[Move]:
    """Return what can become of the data of Redis, and of Kafka."""
    data = RedisData(processes.stack.state)
    data.remember()
    moves = [
        Move("wipe", "redis", partial(_wiped, processes, data)),
        Move("old data", "redis", partial(_aged, processes, data)),
        Move("torn data", "redis", partial(_torn, processes, data)),
    ]
    # Of several brokers one that lost its end would be the leader of it again within its session.
    if len(processes.names("kafka")) == 1:
        torn = partial(_torn_log, processes)
        moves.append(Move("torn log", "kafka-1", torn, is_combinable=False))
    return moves


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


def _torn_log(processes: Processes, random: Random, seconds: float) -> Fault:
    size = random.randint(1, TAIL_BYTES_MAX)
    tear = partial(BrokerTail(processes.stack.state).tear, size)
    return TornLog(Ended(processes, "kafka-1", signal.SIGKILL, tear))
