"""What a drill of recorders that come and go says, and when it has failed."""

import msgspec
import pytest

from firstcome.bench.origin import Origin
from firstcome.drill.rehearsal import Load
from firstcome.drill.scaling import Cycled, Drained
from firstcome.drill.scaling_report import held, page, speedup

pytestmark = pytest.mark.unit

LOAD = Load(10_000, 20, 200_000, 7)
ALONE = Drained("one recorder", LOAD, 2500, 24.0, None, None, 1, 1, 0.4, [])
HELPED = Drained("autoscaler", LOAD, 2500, 12.0, 4.2, 6.5, 4, 1, 0.7, [])
NEAR = [Drained(each, LOAD, 2500, 6.0, None, None, 1, 1, 0.99, []) for each in ("one", "all")]
CYCLED = Cycled(Load(2000, 180, 1, 7), 20, 20, 60, 60, 3.1, 2.2, [])


def test_report_says_what_was_seen() -> None:
    said = page("2026-11-22", [ALONE, HELPED], NEAR, CYCLED, Origin("abc", {"cpus": "2"}))
    assert "**Everything was as promised.** Violations: 0." in said
    assert "2.0 times as fast from far, 1.0 times from near" in said
    assert "| far | one recorder | 2,500 | 24.0 s | never | never | 1 | 1 | 40% | 0 |" in said
    assert "| far | autoscaler | 2,500 | 12.0 s | 4.2 s | 6.5 s | 4 | 1 | 70% | 0 |" in said
    assert "| near | one | 2,500 | 6.0 s | never | never | 1 | 1 | 99% | 0 |" in said
    assert "20 times" in said
    assert "20 of them within 180 s" in said


@pytest.mark.parametrize(
    "change",
    [
        {"violations": ["L1: one too many"]},
        {"added_seconds": 10.1},
        {"added_seconds": None},
        {"recorders_end": 2},
        {"drained_seconds": 17.0},
    ],
)
def test_drill_fails_when_the_autoscaler_does(change: dict[str, object]) -> None:
    helped = msgspec.structs.replace(HELPED, **change)
    assert not held([ALONE, helped], NEAR, CYCLED)
    assert "Not everything" in page("today", [ALONE, helped], NEAR, CYCLED, Origin("abc", {}))


def test_drill_fails_when_a_cycle_breaks_a_law() -> None:
    broken = msgspec.structs.replace(CYCLED, violations=["L2: twice"])
    assert held([ALONE, HELPED], NEAR, CYCLED)
    assert not held([ALONE, HELPED], NEAR, broken)
    assert not held([ALONE, HELPED], NEAR, msgspec.structs.replace(CYCLED, under_load=19))
    stays = [NEAR[0], msgspec.structs.replace(NEAR[1], recorders_end=2)]
    assert not held([ALONE, HELPED], stays, CYCLED)
    assert "- L2: twice" in page("today", [ALONE, HELPED], NEAR, broken, Origin("abc", {}))


def test_speed_is_that_of_the_last_against_the_first() -> None:
    assert speedup([ALONE, HELPED]) == 2.0
