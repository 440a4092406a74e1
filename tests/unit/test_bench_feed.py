"""The feed: samples reach their stores, and no store disturbs who takes them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event

import pytest

from firstcome.bench.collect.feed import Feed
from firstcome.bench.collect.samples import Sample
from firstcome.bench.collect.stores import Store
from firstcome.drill.eventually import eventually
from firstcome.errors import Refused, Unavailable

pytestmark = pytest.mark.unit

LABELS = {"run": "1", "engine": "kafka", "scenario": "steady"}


class Shelf:
    """A store that keeps samples in a list, or does as it is told instead."""

    def __init__(self, name: str = "shelf") -> None:
        self.name = name
        self.kept: list[float] = []
        self.labels: Mapping[str, str] = {}
        self.trouble: Exception | None = None
        self.calls = 0
        self.open = Event()
        self.open.set()

    def write(self, labels: Mapping[str, str], samples: Sequence[Sample]) -> None:
        self.calls += 1
        self.open.wait(10)
        if self.trouble is not None:
            raise self.trouble
        self.labels = labels
        self.kept += [sample.at for sample in samples]


def sample(at: int) -> Sample:
    return Sample(float(at), {"issued_total": {"": float(at)}})


@contextmanager
def feeding(*stores: Store, waiting_max: int = 5) -> Iterator[Feed]:
    feed = Feed(stores, LABELS, waiting_max, pause_seconds=0.01)
    try:
        yield feed
    finally:
        feed.close()


def test_samples_reach_every_store_in_order() -> None:
    first, second = Shelf(), Shelf()
    with feeding(first, second, waiting_max=50) as feed:
        for at in range(20):
            feed.put(sample(at))
    assert first.kept == second.kept == [float(at) for at in range(20)]
    assert first.labels == LABELS
    assert feed.notes() == []


def test_samples_arrive_while_the_run_is_on() -> None:
    shelf = Shelf()
    with feeding(shelf) as feed:
        feed.put(sample(1))
        eventually("the sample is there", lambda: shelf.kept == [1.0], seconds=5)


def test_store_that_comes_back_gets_what_still_waits_and_the_oldest_are_dropped() -> None:
    shelf = Shelf("Prometheus at host:9090")
    shelf.trouble = Unavailable("no answer: refused")
    with feeding(shelf, waiting_max=5) as feed:
        for at in range(12):
            feed.put(sample(at))
        eventually("it was tried again", lambda: shelf.calls > 2, seconds=5)
        shelf.trouble = None
        eventually("the newest are there", lambda: shelf.kept, seconds=5)
    assert shelf.kept == [7.0, 8.0, 9.0, 10.0, 11.0]
    assert feed.notes() == [
        "Prometheus at host:9090 did not confirm 7 of 12 samples (no answer: refused); "
        "the run's own record has them all"
    ]


def test_samples_that_did_not_arrive_come_before_those_that_came_meanwhile() -> None:
    shelf = Shelf()
    shelf.open.clear()
    shelf.trouble = Unavailable("no answer")
    with feeding(shelf) as feed:
        feed.put(sample(0))
        eventually("it is on its way", lambda: shelf.calls == 1, seconds=5)
        feed.put(sample(1))
        feed.put(sample(2))
        shelf.open.set()
        eventually("it was tried again", lambda: shelf.calls > 1, seconds=5)
        shelf.trouble = None
    assert shelf.kept == [0.0, 1.0, 2.0]
    assert feed.notes() == []


def test_store_that_refuses_is_not_asked_the_same_again() -> None:
    shelf = Shelf()
    shelf.trouble = Refused("HTTP 400: out of order")
    with feeding(shelf) as feed:
        feed.put(sample(1))
        eventually("it was asked", lambda: shelf.calls == 1, seconds=5)
        shelf.trouble = None
        feed.put(sample(2))
        eventually("the next one is there", lambda: shelf.kept == [2.0], seconds=5)
    assert shelf.calls == 2
    (note,) = feed.notes()
    assert "did not confirm 1 of 2 samples (HTTP 400: out of order)" in note


def test_store_that_hangs_delays_nobody() -> None:
    slow, quick = Shelf("slow"), Shelf("quick")
    slow.open.clear()
    feed = Feed([slow, quick], LABELS, 5)
    began = time.monotonic()
    for at in range(1000):
        feed.put(sample(at))
    assert time.monotonic() - began < 1
    feed.put(sample(1000))
    eventually("the other has it", lambda: 1000.0 in quick.kept, seconds=5)
    began = time.monotonic()
    feed.close(seconds=0.2)
    assert time.monotonic() - began < 1
    notes = feed.notes()
    slow.open.set()
    assert any("slow did not confirm 1001 of 1001 samples" in note for note in notes)


def test_end_gives_a_store_that_is_away_one_last_try() -> None:
    shelf = Shelf()
    shelf.trouble = Unavailable("no answer")
    feed = Feed([shelf], LABELS, 5, pause_seconds=60)
    feed.put(sample(1))
    eventually("it was tried", lambda: shelf.calls == 1, seconds=5)
    shelf.trouble = None
    feed.close()
    assert shelf.kept == [1.0]
    assert feed.notes() == []
    feed.close()


def test_feed_without_stores_does_nothing() -> None:
    with feeding() as feed:
        feed.put(sample(1))
    assert feed.notes() == []
