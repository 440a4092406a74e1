"""Seeds repeat schedules; what counts as effective."""

from itertools import islice, pairwise
from random import Random

import pytest

from firstcome.drill.faults import Fault, Move
from firstcome.drill.nemesis import Struck
from firstcome.drill.schedule import Planned, may_overlap, schedule

pytestmark = pytest.mark.unit


def never(chance: Random, seconds: float) -> Fault:
    raise AssertionError("a schedule makes no fault")


MOVES = [
    *(Move(kind, name, never) for kind in ("kill", "freeze") for name in ("api-1", "redis")),
    Move("cut", "api.redis", never, lasts=False),
    Move("wipe", "redis", never, is_combinable=False),
]


def planned(seed: int, count: int = 200) -> list[Planned]:
    return list(islice(schedule(MOVES, seed), count))


def told(each: Planned) -> tuple[object, ...]:
    return each.move.kind, each.move.target, each.seconds, each.gap, each.chance.random()


def test_schedule_is_repeated_by_its_seed() -> None:
    assert [told(each) for each in planned(7)] == [told(each) for each in planned(7)]
    assert [told(each) for each in planned(7)] != [told(each) for each in planned(8)]


def test_schedule_comes_to_every_move_and_to_pairs() -> None:
    seen = planned(3, 60)
    assert {(each.move.kind, each.move.target) for each in seen} == {
        (move.kind, move.target) for move in MOVES
    }
    assert 5 <= sum(each.is_overlapping for each in seen) <= 25
    assert all(each.seconds == 0 for each in seen if not each.move.lasts)


def test_schedule_never_breaks_one_kind_of_process_twice_at_once() -> None:
    for seed in range(20):
        seen = planned(seed)
        for one, other in pairwise(seen):
            if other.is_overlapping:
                assert not one.is_overlapping
                assert may_overlap(one.move, other.move)
    assert not may_overlap(MOVES[0], MOVES[4])  # api-1 and the link api.redis
    assert not may_overlap(MOVES[0], MOVES[5])  # not combinable
    assert may_overlap(MOVES[0], MOVES[1])


def struck(**changes: object) -> Struck:
    facts: dict[str, object] = {
        "accepted_per_second": 150.0,
        "under_way": 1,
        "evidence": "pid 7 ended",
    }
    return Struck(1, "kill", "redis", 2.0, False, **(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "lacking",
    [
        *({"accepted_per_second": 99.9}, {"under_way": 0}, {"evidence": ""}),
        *({"missed": "2 restarts instead of one"}, {"unhealed": "no successor"}),
    ],
)
def test_fault_counts_only_with_load_proof_and_claims_under_way(
    lacking: dict[str, object],
) -> None:
    assert struck().is_effective
    assert not struck(**lacking).is_effective
