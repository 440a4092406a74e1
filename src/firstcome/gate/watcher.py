"""Tells whoever waits when a position is settled.

One read a tick covers thousands of positions: the settled bits of all waiters of
a campaign lie close together. So a long poll costs Redis next to nothing, and
nobody is told later than a tick after the recorder wrote the bits.
"""

import asyncio
import heapq
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import NamedTuple

from firstcome.gate import keys
from firstcome.gate.connection import GateConnection
from firstcome.logs import get_logger
from firstcome.model import SETTLED, CampaignId, Status

TICK_SECONDS = 0.02
CHUNK_POSITIONS = 16_384  # 4 KiB of bits
CHUNKS_MAX = 64  # reads of one tick
DEADLINES_KEPT = 1000  # of waiters who were told, before they are cleared away
Told = Callable[[Status], None]
Chunk = tuple[CampaignId, int, int]
log = get_logger()


class _Waiter(NamedTuple):
    position: int
    deadline: float
    told: Told


class SettledWatcher:
    """Single event loop. `len()` is the number of waiters."""

    def __init__(self, connection: GateConnection, waiters_max: int) -> None:
        self._connection = connection
        self._waiters_max = waiters_max
        self._chunks: dict[Chunk, dict[int, _Waiter]] = {}
        self._deadlines: list[tuple[float, int, Chunk]] = []
        self._reading: set[Chunk] = set()
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        return self._count

    def watch(
        self, campaign_id: CampaignId, epoch: int, position: int, deadline: float, told: Told
    ) -> None:
        """Call `told` once: with the settled status, or with REQUESTED at the deadline (monotonic).

        With too many waiters it is told REQUESTED at once.
        """
        if self._closed or self._count >= self._waiters_max or deadline <= monotonic():
            told(Status.REQUESTED)
            return
        self._sequence += 1
        chunk = (campaign_id, epoch, position // CHUNK_POSITIONS)
        self._chunks.setdefault(chunk, {})[self._sequence] = _Waiter(position, deadline, told)
        heapq.heappush(self._deadlines, (deadline, self._sequence, chunk))
        self._count += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def close(self) -> None:
        """Tell everybody REQUESTED, now and from now on: the process is about to stop."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for chunk, waiters in list(self._chunks.items()):
            for sequence in list(waiters):
                self._tell(chunk, sequence, Status.REQUESTED)

    def _tick(self) -> None:
        now = monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, sequence, chunk = heapq.heappop(self._deadlines)
            self._tell(chunk, sequence, Status.REQUESTED)
        for chunk in list(self._chunks)[:CHUNKS_MAX]:
            # Moved to the end: with more chunks than reads, each has its turn.
            self._chunks[chunk] = self._chunks.pop(chunk)
            if chunk in self._reading:
                continue  # a slow Redis is not asked twice
            self._reading.add(chunk)
            campaign_id, epoch, number = chunk
            start = number * CHUNK_POSITIONS // 4
            self._connection.call(
                (
                    "GETRANGE",
                    keys.settled(campaign_id, epoch),
                    start,
                    start + CHUNK_POSITIONS // 4 - 1,
                ),
                partial(self._read, chunk),
            )
        self._forget_deadlines()
        self._timer = (
            asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick) if self._count else None
        )

    def _forget_deadlines(self) -> None:
        """Drop those of waiters who were told: most are told long before their deadline."""
        if len(self._deadlines) > 2 * self._count + DEADLINES_KEPT:
            self._deadlines = [
                (waiter.deadline, sequence, chunk)
                for chunk, waiters in self._chunks.items()
                for sequence, waiter in waiters.items()
            ]
            heapq.heapify(self._deadlines)

    def _read(self, chunk: Chunk, reply: object) -> None:
        self._reading.discard(chunk)
        if not isinstance(reply, bytes):
            return  # the next tick asks again, until the deadline
        start = chunk[2] * CHUNK_POSITIONS
        for sequence, waiter in list(self._chunks.get(chunk, {}).items()):
            offset = waiter.position - start
            if offset // 4 < len(reply):
                settled = reply[offset // 4] >> 2 * (3 - offset % 4) & 3
                if settled:
                    self._tell(chunk, sequence, SETTLED[settled])

    def _tell(self, chunk: Chunk, sequence: int, status: Status) -> None:
        waiters = self._chunks.get(chunk, {})
        waiter = waiters.pop(sequence, None)
        if waiter is None:
            return
        self._count -= 1
        if not waiters:
            self._chunks.pop(chunk, None)
        try:
            waiter.told(status)
        except Exception:
            log.exception("settled_mishandled")
