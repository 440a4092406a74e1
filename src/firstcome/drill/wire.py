"""One connection through a link: two pumps of bytes, and how it ends.

Path: a client -> [drill.wire] -> an engine

A wire holds one chunk in each direction at most; what it has read and not written when it ends is
lost, as on a real link. It never makes up a byte. When one side ends, so does the other: there
are no half-open connections, which none of our clients uses.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

CHUNK_BYTES = 65_536
FLUSH_SECONDS = 1.0
# To send RST instead of FIN: linger on, for no time.
ABORTIVE = struct.pack("ii", 1, 0)
Direction = Literal["up", "down"]  # up: towards the engine
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# Takes a chunk; returns what of it to forward, and whether the wire goes on afterwards. May wait.
Passage = Callable[["Wire", Direction, bytes], Awaitable[tuple[bytes, bool]]]


class Wire:
    """A client's connection and the engine's, until one of them ends."""

    def __init__(self, client: Pair, engine: Pair, passage: Passage) -> None:
        """`passage` is the link's judgement of every chunk."""
        self.is_marked = False  # its next reply is to be dropped
        self._client = client
        self._engine = engine
        self._passage = passage

    async def run(self) -> None:
        """Forward both ways until either side has ended; then end the other."""
        pumps = [
            asyncio.ensure_future(self._pump("up", self._client[0], self._engine[1])),
            asyncio.ensure_future(self._pump("down", self._engine[0], self._client[1])),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self.cut()
            await asyncio.gather(*pumps, self._flush(), return_exceptions=True)

    def cut(self) -> None:
        """Close both sides: what was written to them still arrives."""
        for _, writer in (self._client, self._engine):
            writer.close()

    def reset(self) -> None:
        """End both sides with RST: what they have not read yet is lost."""
        for _, writer in (self._client, self._engine):
            reset(writer)

    async def _pump(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        goes_on = True
        with suppress(OSError):
            while goes_on and (chunk := await reader.read(CHUNK_BYTES)):
                passed, goes_on = await self._passage(self, direction, chunk)
                if writer.is_closing():
                    return
                writer.write(passed)
                await writer.drain()

    async def _flush(self) -> None:
        """Wait until both sides are closed; whoever does not read is not waited for."""
        for _, writer in (self._client, self._engine):
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await writer.wait_closed()
            writer.transport.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    with suppress(OSError):
        end = writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
    writer.transport.abort()
