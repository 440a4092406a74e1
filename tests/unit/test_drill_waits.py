"""What a promise may wait for, in classes by the faults that it met."""

import pytest

from firstcome.drill.history import CLAIM, STATUS, Heard
from firstcome.drill.waits import (
    LONG,
    NO_FAULT,
    ONE_FAULT,
    SEVERAL,
    Wait,
    Window,
    judged,
    loose_seconds,
    violations,
    waits,
)

pytestmark = pytest.mark.unit


def promise(user: str, at: float) -> Heard:
    return Heard(CLAIM, 7, user, None, at - 0.1, at, "REQUESTED", 1, "", False)


def look(user: str, at: float, code: str) -> Heard:
    return Heard(STATUS, 7, user, None, at - 0.1, at, code, 1, code, False)


def broken(final: float, *windows: Window) -> list[str]:
    """Return what is said of a promise of second 100 that is final then."""
    return violations(waits([promise("ann", 100), look("ann", final, "ISSUED")], windows))


def kind(final: float, *windows: Window) -> str:
    return judged(Wait("ann", 100, final), windows).kind


def test_wait_ends_with_the_first_final_look_and_is_apart_under_faults() -> None:
    heard = [
        *(promise("ann", 10), look("ann", 10.5, "REQUESTED"), look("ann", 11, "ISSUED")),
        *(look("ann", 30, "ISSUED"), promise("bob", 50), look("bob", 60, "ISSUED")),
        *(promise("cat", 100), look("cat", 101, "ISSUED"), look("dan", 101, "NOT_REQUESTED")),
    ]
    found = waits(heard, [Window(49, 55)])
    assert [(each.wait.user, each.counted) for each in found.of(NO_FAULT)] == [
        ("ann", 1),
        ("cat", 1),
    ]
    assert [(each.wait.user, each.counted) for each in found.of(ONE_FAULT)] == [("bob", 10)]
    assert violations(found) == []


def test_wait_under_one_short_fault_has_60_s_from_its_promise() -> None:
    assert broken(159.9, Window(99, 125)) == []
    assert len(broken(160.1, Window(99, 125))) == 1
    assert len(broken(160.1, Window(99, 99.5))) == 1
    assert kind(160, Window(99, 129)) == ONE_FAULT


def test_wait_under_a_longer_fault_has_120_s_from_its_end() -> None:
    assert broken(254.9, Window(99, 135)) == []
    assert len(broken(255.1, Window(99, 135))) == 1
    assert len(broken(255.1, Window(99, 135), Window(200, 220))) == 1
    found = waits([promise("ann", 100), look("ann", 150, "ISSUED")], [Window(99, 135)])
    assert found.figures()[LONG]["max"] == 15
    assert found.figures()[ONE_FAULT]["count"] == 0


def test_wait_under_several_short_faults_has_their_time_in_addition() -> None:
    row = [Window(at, at + 5) for at in range(99, 400, 10)]
    assert kind(130, *row) == SEVERAL
    assert loose_seconds(Wait("ann", 100, 120), row) == 10  # 4 + 5 + 1
    assert loose_seconds(Wait("ann", 100, 120), [Window(90, 110), Window(105, 130)]) == 20
    assert broken(185, *row) == []
    assert len(broken(285, *row)) == 1, "faults without end excuse no wait without end"


def test_fault_that_took_no_effect_excuses_nobody() -> None:
    missed = Window(99, 135, took_effect=False)
    assert len(broken(161, missed)) == 1
    assert kind(110, missed) == ONE_FAULT, "it may have done some harm, so it is not quiet either"
    assert len(broken(170, Window(99, 105), missed)) == 1
    assert kind(110, Window(99, 105), missed) == ONE_FAULT


def test_wait_without_faults_must_be_short() -> None:
    assert broken(103) == ["l3 in time: without faults p99 is 3.0 s, not 2 s"]
