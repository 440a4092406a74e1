"""One link: a port in front of one port of an engine, and what is wrong with it just now.

Path: the processes of one role -> [drill.link] -> one engine

Faults stay until `heal()`; cut and reset happen once. The counters are the evidence that a fault
has hit, and are never set back. Everything runs on the event loop of `Links`.
"""

import asyncio
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from firstcome.drill.wire import Direction, Wire, reset

HOST = "127.0.0.1"
# Between the ports of local stacks and those that the kernel takes for outgoing connections, so
# that nobody sits on a link's port while it refuses.
FIRST_PORT, LAST_PORT = 28_001, 32_000
PORTS_TRIED_MAX = 1000


@dataclass
class Counters:
    """What a link has seen. Bytes are those forwarded."""

    connections: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    delayed: int = 0  # chunks
    held: int = 0  # chunks that met a frozen link
    cuts: int = 0  # connections
    resets: int = 0  # connections
    replies_dropped: int = 0  # each after its request was forwarded
    torn: int = 0  # requests that were cut in their middle
    unreachable: int = 0  # connections for which the engine was not there


class Link:
    """Forwards to the port that `target` returns at the time of a connection."""

    def __init__(
        self, name: str, port: int, target: Callable[[], int], chance: random.Random
    ) -> None:
        """Nobody is let in before `heal()`. `chance` draws the jitter."""
        self.name = name
        self.counters = Counters()
        self.port = port
        self._target = target
        self._chance = chance
        self._server: asyncio.Server | None = None
        self._wires: set[Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._delay_seconds = (0.0, 0.0)  # delay and jitter
        self._reply_dropped: bytes | None = None  # of the next request that holds these bytes
        self._bytes_left: int | None = None  # upwards, until the cut

    async def heal(self) -> None:
        """Pass everything."""
        self._delay_seconds = (0.0, 0.0)
        self._reply_dropped = self._bytes_left = None
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def slow(self, seconds: float, jitter_seconds: float = 0.0) -> None:
        """Hold each chunk up; what comes meanwhile is the next chunk, so order is kept."""
        self._delay_seconds = (seconds, jitter_seconds)

    async def freeze(self) -> None:
        """Forward nothing and close nothing; what is held goes on when healed."""
        self._passing.clear()

    async def cut(self) -> None:
        """Close every connection now; the next one passes."""
        self.counters.cuts += len(self._wires)
        for wire in self._wires:
            wire.cut()
        self._wires.clear()

    async def reset(self) -> None:
        """End every connection with RST; the next one passes."""
        self.counters.resets += len(self._wires)
        for wire in self._wires:
            wire.reset()
        self._wires.clear()

    async def refuse(self) -> None:
        """Cut what is open and refuse whoever comes."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    async def drop_reply(self, containing: bytes = b"") -> None:
        """Forward the next request that holds these bytes, swallow the next reply, and cut."""
        self._reply_dropped = containing

    async def cut_after(self, length: int) -> None:
        """Forward so many more bytes of requests, then cut the connection in mid-request."""
        self._bytes_left = length

    async def close(self) -> None:
        """End everything."""
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.counters.connections += 1
        try:
            engine = await asyncio.open_connection(HOST, self._target())
        except OSError:
            self.counters.unreachable += 1
            reset(writer)
            return
        wire = Wire((reader, writer), engine, self._pass)
        self._wires.add(wire)
        try:
            await wire.run()
        finally:
            self._wires.discard(wire)

    async def _pass(self, wire: Wire, direction: Direction, chunk: bytes) -> tuple[bytes, bool]:
        await self._hold()
        if direction == "down":
            return self._downwards(wire, chunk)
        if self._reply_dropped is not None and self._reply_dropped in chunk:
            self._reply_dropped = None
            wire.is_marked = True
        return self._upwards(wire, chunk)

    async def _hold(self) -> None:
        if not self._passing.is_set():
            self.counters.held += 1
            await self._passing.wait()
        seconds, jitter_seconds = self._delay_seconds
        if seconds or jitter_seconds:
            self.counters.delayed += 1
            await asyncio.sleep(seconds + jitter_seconds * self._chance.random())

    def _downwards(self, wire: Wire, chunk: bytes) -> tuple[bytes, bool]:
        if wire.is_marked:
            self.counters.replies_dropped += 1
            return b"", False
        self.counters.bytes_down += len(chunk)
        return chunk, True

    def _upwards(self, wire: Wire, chunk: bytes) -> tuple[bytes, bool]:
        left = self._bytes_left
        if left is not None and left < len(chunk):
            self.counters.torn += 1
            self._bytes_left = None
            chunk, goes_on = chunk[:left], False
        else:
            self._bytes_left = None if left is None else left - len(chunk)
            goes_on = True
        self.counters.bytes_up += len(chunk)
        return chunk, goes_on


def free_ports(count: int) -> list[int]:
    """Return different ports that nothing listens on. Raises OSError where there are too few."""
    ports: list[int] = []
    # None twice: the kernel lets two probes have one port, as neither listens.
    for port in random.sample(range(FIRST_PORT, LAST_PORT), PORTS_TRIED_MAX):
        if len(ports) == count:
            return ports
        with socket.socket() as probe, suppress(OSError):
            # As servers do: connections of an earlier life that linger do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            ports.append(port)
    raise OSError(f"fewer than {count} free ports between {FIRST_PORT} and {LAST_PORT} on {HOST}")
