"""Faults are let loose in their order, at most two at once, and always healed."""

import threading
import time
from collections.abc import Iterator
from random import Random
from typing import cast

import pytest

from firstcome.drill.faults import Misbehaved, Missed, Move
from firstcome.drill.leg import unhealed
from firstcome.drill.nemesis import Nemesis
from firstcome.drill.schedule import Planned
from firstcome.drill.traffic import Traffic

pytestmark = pytest.mark.unit


class Flow:
    """A crowd that always succeeds."""

    claims_under_way = 3

    def accepted_since(self, when: float) -> int:
        return 1000


class World:
    """Counts what is broken."""

    def __init__(self) -> None:
        self.loose: list[str] = []
        self.loose_max = 0
        self.lock = threading.Lock()


class Breaking:
    """A fault that notes when it is loose."""

    def __init__(
        self,
        world: World,
        name: str,
        error: Exception | None,
        healing: Exception | None = None,
    ) -> None:
        self._world, self._name, self._error, self._healing = world, name, error, healing

    def inject(self) -> str:
        with self._world.lock:
            self._world.loose.append(self._name)
            self._world.loose_max = max(self._world.loose_max, len(self._world.loose))
        if self._error:
            raise self._error
        return "seen"

    def heal(self) -> str:
        with self._world.lock:
            self._world.loose.remove(self._name)
        if self._healing:
            raise self._healing
        return "healed"


def planned(
    world: World,
    error: Exception | None = None,
    healing: Exception | None = None,
    *,
    pairs: bool,
) -> Iterator[Planned]:
    number = 0
    while True:
        number += 1
        move = Move(
            "kill",
            f"api-{number}",
            lambda _, s, n=number: Breaking(world, str(n), error, healing),
        )
        yield Planned(number, move, 0.03, 0.005, pairs and number % 2 == 0, Random(number))


def run(schedule: Iterator[Planned]) -> Nemesis:
    nemesis = Nemesis(schedule, cast(Traffic, Flow()), lambda line: None)
    nemesis.run(time.monotonic() + 0.4)
    return nemesis


def test_nemesis_breaks_one_thing_after_the_other() -> None:
    world = World()
    nemesis = run(planned(world, pairs=False))
    assert (world.loose, world.loose_max) == ([], 1)
    assert len(nemesis.struck) >= 3
    assert all(struck.is_effective for struck in nemesis.struck)


def test_nemesis_breaks_two_things_at_once_when_they_overlap() -> None:
    world = World()
    nemesis = run(planned(world, pairs=True))
    assert (world.loose, world.loose_max) == ([], 2)
    assert any(struck.is_overlapping for struck in nemesis.struck)


@pytest.mark.parametrize("error", [Missed("nobody was there"), ValueError("a slip of the harness")])
def test_nemesis_heals_and_does_not_count_what_missed(error: Exception) -> None:
    world = World()
    nemesis = run(planned(world, error, pairs=False))
    assert world.loose == []
    assert nemesis.struck
    assert not any(struck.is_effective for struck in nemesis.struck)
    assert all(str(error) in struck.missed for struck in nemesis.struck)


def test_fault_whose_proof_fails_as_it_heals_does_not_count() -> None:
    nemesis = run(planned(World(), healing=Missed("2 restarts instead of one"), pairs=False))
    assert nemesis.struck
    assert all(struck.took_effect and not struck.is_effective for struck in nemesis.struck)
    assert unhealed(nemesis.struck) == []


def test_fault_that_does_not_heal_is_a_violation_and_does_not_count() -> None:
    nemesis = run(planned(World(), healing=Misbehaved("recorder ended with 1"), pairs=False))
    assert not any(struck.is_effective for struck in nemesis.struck)
    said = unhealed(nemesis.struck)
    assert len(said) == len(nemesis.struck)
    assert all("recorder ended with 1" in each and "not healed" not in each for each in said)
