"""What waits for one campaign's next call to Redis.

One call is under way at a time; whatever arrives meanwhile goes into the next
one, up to a bound. Calls begin at least an interval apart: near its limit a
process would otherwise send thousands of tiny batches, each of which costs Redis,
the log and the recorder as much as a large one. At low load nobody waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Batcher(Generic[Item]):
    """`send` gets each batch and must end it with `finished` or `put_back`."""

    def __init__(
        self,
        send: Callable[[list[Item]], None],
        batch_max: int,
        queue_max: int,
        interval_seconds: float = 0.0,
    ) -> None:
        self._send = send
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._interval_seconds = interval_seconds
        self._not_before = 0.0
        self._queue: deque[Item] = deque()
        self._under_way = False
        self._sending = False
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: Item) -> bool:
        """Queue one item; False when the queue is full."""
        queue = self._queue
        if len(queue) >= self._queue_max:
            return False
        queue.append(item)
        if not self._under_way:
            self._under_way = True
            # After everything that this turn of the event loop brings in.
            self._loop.call_soon(self.finished)
        return True

    def finished(self) -> None:
        """The batch under way is dealt with; send the next one if anything waits."""
        self._under_way = False
        # A loop, not a call from within `send`: a refused batch is dealt with before `send`
        # returns, and the queue may be deeper than the stack.
        if self._sending:
            return
        self._sending = True
        try:
            while self._queue and not self._under_way:
                self._under_way = True
                if not self._waits():
                    self._send(self._take())
        except BaseException:
            # One batch is lost with its fault; those behind it do not wait for the next arrival.
            self._under_way = False
            if self._queue:
                self._loop.call_soon(self.finished)
            raise
        finally:
            self._sending = False

    def put_back(self, batch: list[Item]) -> None:
        """Return a batch unsent, in its place; `finished` sends it again."""
        self._queue.extendleft(reversed(batch))

    def _waits(self) -> bool:
        """Let a batch that is not full wait for the rest of the interval; True if it has to."""
        now = self._loop.time()
        if now < self._not_before and len(self._queue) < self._batch_max:
            self._loop.call_later(self._not_before - now, self.finished)
            return True
        self._not_before = now + self._interval_seconds
        return False

    def _take(self) -> list[Item]:
        queue = self._queue
        if len(queue) > self._batch_max:
            return [queue.popleft() for _ in range(self._batch_max)]
        batch = list(queue)
        queue.clear()
        return batch
