"""What waits for the gate: order, bounds, and a send that answers before it returns."""

import asyncio

import pytest

from firstcome.gate.batcher import Batcher

pytestmark = pytest.mark.unit


class Sender:
    """Takes batches; answers at once, or when it is told to."""

    def __init__(self, *, at_once: bool, batch_max: int = 3, queue_max: int = 100) -> None:
        self.batches: list[list[int]] = []
        self.at_once = at_once
        self.batcher: Batcher[int] = Batcher(self.send, batch_max, queue_max)

    def send(self, batch: list[int]) -> None:
        """Keep a batch."""
        self.batches.append(batch)
        if 13 in batch:
            raise RuntimeError("planted")
        if self.at_once:
            self.batcher.finished()


async def test_batcher_sends_one_batch_at_a_time_in_the_order_of_arrival() -> None:
    sender = Sender(at_once=False)
    for item in range(5):
        assert sender.batcher.add(item)
    assert sender.batches == []
    await asyncio.sleep(0)
    assert sender.batches == [[0, 1, 2]]
    sender.batcher.add(5)
    sender.batcher.add(6)
    await asyncio.sleep(0)
    assert len(sender.batches) == 1
    sender.batcher.finished()
    assert sender.batches == [[0, 1, 2], [3, 4, 5]]
    sender.batcher.finished()
    assert sender.batches[2:] == [[6]]
    sender.batcher.finished()
    sender.batcher.add(7)
    await asyncio.sleep(0)
    assert sender.batches[3:] == [[7]]


async def test_batcher_lets_a_batch_that_is_not_full_wait_for_the_interval() -> None:
    sent: list[tuple[float, list[int]]] = []
    loop = asyncio.get_running_loop()

    def send(batch: list[int]) -> None:
        sent.append((loop.time(), batch))
        batcher.finished()

    batcher: Batcher[int] = Batcher(send, 3, 100, interval_seconds=0.05)
    batcher.add(1)
    await asyncio.sleep(0)
    assert [batch for _, batch in sent] == [[1]]  # nobody waits when it is quiet
    batcher.add(2)
    await asyncio.sleep(0)
    batcher.add(3)
    async with asyncio.timeout(5):
        while len(sent) < 2:
            await asyncio.sleep(0.001)
    assert sent[1][1] == [2, 3]
    assert sent[1][0] - sent[0][0] >= 0.049
    for item in range(4, 12):
        batcher.add(item)
    async with asyncio.timeout(5):
        while sum(len(batch) for _, batch in sent) < 11:
            await asyncio.sleep(0.001)
    assert [len(batch) for _, batch in sent[2:]] == [3, 3, 2]  # full ones do not wait


async def test_batcher_sends_what_was_put_back_first() -> None:
    sender = Sender(at_once=False)
    for item in range(4):
        sender.batcher.add(item)
    await asyncio.sleep(0)
    sender.batcher.put_back(sender.batches.pop())
    assert len(sender.batcher) == 4
    sender.batcher.finished()
    assert sender.batches == [[0, 1, 2]]


async def test_batcher_refuses_beyond_its_bound() -> None:
    sender = Sender(at_once=True, queue_max=4)
    assert [sender.batcher.add(item) for item in range(6)] == [True] * 4 + [False] * 2
    await asyncio.sleep(0)
    assert sender.batcher.add(6)


async def test_batcher_works_off_a_queue_deeper_than_the_stack() -> None:
    sender = Sender(at_once=True, batch_max=1, queue_max=50_000)
    for item in range(100, 50_000):
        sender.batcher.add(item)
    await asyncio.sleep(0)
    assert sender.batches == [[item] for item in range(100, 50_000)]


async def test_batcher_goes_on_after_a_send_that_failed() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    sender = Sender(at_once=True)
    sender.batcher.add(13)
    await asyncio.sleep(0)
    assert len(faults) == 1
    sender.batcher.add(1)
    await asyncio.sleep(0)
    assert sender.batches == [[13], [1]]


async def test_batcher_does_not_forget_those_who_wait_behind_a_send_that_failed() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    sender = Sender(at_once=True, batch_max=1)
    for item in (13, 1, 2):
        sender.batcher.add(item)
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(faults) == 1
    assert sender.batches == [[13], [1], [2]]
