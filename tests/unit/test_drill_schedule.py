"""Seeds repeat schedules; what counts as effective, and what a promise may wait for."""

from itertools import islice, pairwise
from random import Random

import pytest

from firstcome.drill.faults import Fault, Move
from firstcome.drill.history import CLAIM, STATUS, Heard
from firstcome.drill.nemesis import Struck
from firstcome.drill.schedule import Planned, may_overlap, schedule
from firstcome.drill.waits import Window, violations, waits

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
    "lacking", [{"accepted_per_second": 99.9}, {"under_way": 0}, {"evidence": ""}]
)
def test_fault_counts_only_with_load_evidence_and_claims_under_way(
    lacking: dict[str, object],
) -> None:
    assert struck().is_effective
    assert not struck(**lacking).is_effective


def promise(user: str, at: float) -> Heard:
    return Heard(CLAIM, 7, user, None, at - 0.1, at, "REQUESTED", 1, "", False)


def look(user: str, at: float, code: str) -> Heard:
    return Heard(STATUS, 7, user, None, at - 0.1, at, code, 1, code, False)


def test_wait_ends_with_the_first_final_look_and_is_apart_under_faults() -> None:
    heard = [
        *(promise("ann", 10), look("ann", 10.5, "REQUESTED"), look("ann", 11, "ISSUED")),
        *(look("ann", 30, "ISSUED"), promise("bob", 50), look("bob", 60, "ISSUED")),
        *(promise("cat", 100), look("cat", 101, "ISSUED"), look("dan", 101, "NOT_REQUESTED")),
    ]
    found = waits(heard, [Window(49, 55)])
    assert [(wait.user, wait.seconds) for wait in found.quiet] == [("ann", 1), ("cat", 1)]
    assert [(wait.user, wait.seconds) for wait in found.faulted] == [("bob", 10)]
    assert violations(found, [Window(49, 55)]) == []


def test_wait_may_last_60_s_under_a_short_fault_and_120_s_after_a_long_one() -> None:
    def broken(final: float, window: Window) -> list[str]:
        heard = [promise("ann", 100), look("ann", final, "ISSUED")]
        return violations(waits(heard, [window]), [window])

    assert broken(159, Window(99, 99.5)) == []
    assert len(broken(161, Window(99, 99.5))) == 1
    assert broken(184, Window(99, 125)) == []
    assert len(broken(186, Window(99, 125))) == 1
    assert broken(254, Window(99, 135)) == []
    assert len(broken(256, Window(99, 135))) == 1


def test_wait_without_faults_must_be_short() -> None:
    heard = [promise("ann", 100), look("ann", 103, "ISSUED")]
    assert violations(waits(heard, []), []) == ["l3 in time: without faults p99 is 3.0 s, not 2 s"]
