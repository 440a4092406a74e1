"""Rebuilds beside the sweep: one at a time, another when the first may be stuck."""

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any

import pytest

from firstcome.errors import LogUnavailable, RecordingStopped
from firstcome.failpoints import FailpointRaised
from firstcome.issuance.rebuilder import STUCK_SECONDS, TRY_SECONDS, Rebuilder

pytestmark = pytest.mark.unit

STALE: Any = ["a campaign", "another"]
SOON = 10.0


class Scene:
    """A rebuilder, and rebuilds that end when they are let."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made = self.began = 0
        self.go_on = Event()
        self.go_on.set()
        self.has_begun = Event()
        self.error: Exception | None = None
        self.rebuilder = Rebuilder(self.make, clock=lambda: self.now)

    def make(self) -> Callable[[Sequence[Any]], int]:
        """Stand for a rebuild."""
        self.made += 1

        def run_once(campaigns: Sequence[Any]) -> int:
            self.began += 1
            self.has_begun.set()
            assert self.go_on.wait(SOON)
            if self.error is not None:
                raise self.error
            return len(campaigns)

        return run_once


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Whatever is under way ends with the test."""
    made = Scene()
    yield made
    made.go_on.set()
    assert made.rebuilder.wait(SOON)


def test_rebuild_is_not_waited_for_and_alone(scene: Scene) -> None:
    scene.go_on.clear()
    assert scene.rebuilder.begin(STALE) == 0
    assert not scene.rebuilder.wait(0)
    assert scene.has_begun.wait(SOON)
    scene.now += STUCK_SECONDS - 1
    assert scene.rebuilder.begin(STALE) == 0
    assert (scene.made, scene.began) == (1, 1)
    scene.go_on.set()
    assert scene.rebuilder.wait(SOON)
    assert scene.rebuilder.begin(STALE) == 2
    assert scene.rebuilder.wait(SOON)
    assert (scene.made, scene.began) == (1, 2)


def test_another_tries_now_and_then_while_one_may_be_stuck(scene: Scene) -> None:
    scene.go_on.clear()
    scene.rebuilder.begin(STALE)
    scene.now += STUCK_SECONDS
    for _ in range(3):
        scene.rebuilder.begin(STALE)
    # What the first one uses no other thread may use.
    assert scene.made == 2
    scene.now += TRY_SECONDS
    scene.rebuilder.begin(STALE)
    assert scene.made == 3


@pytest.mark.parametrize("error", [LogUnavailable("planted"), RecordingStopped("planted")])
def test_rebuild_that_fails_is_tried_again(scene: Scene, error: Exception) -> None:
    scene.error = error
    scene.rebuilder.begin(STALE)
    assert scene.rebuilder.wait(SOON)
    scene.error = None
    assert scene.rebuilder.begin(STALE) == 0
    assert scene.rebuilder.wait(SOON)
    assert scene.rebuilder.begin(STALE) == 2


def test_error_that_nobody_expects_ends_the_sweeper_too(scene: Scene) -> None:
    scene.error = FailpointRaised("planted")
    scene.rebuilder.begin(STALE)
    assert scene.rebuilder.wait(SOON)
    with pytest.raises(FailpointRaised):
        scene.rebuilder.begin([])  # whether or not there is another gate to open


def test_end_of_a_rebuild_is_told_when_no_gate_is_stale_any_more(scene: Scene) -> None:
    scene.rebuilder.begin(STALE)
    assert scene.rebuilder.wait(SOON)
    assert scene.rebuilder.begin([]) == 2
    assert scene.rebuilder.begin([]) == 0
    assert scene.began == 1
