"""What a leg comes to: its history and its faults, summed up and judged together."""

from itertools import repeat
from typing import cast

import pytest

from firstcome.drill.history import CLAIM, INTRUSION, STATUS, Heard
from firstcome.drill.leg import Leg, Outcome
from firstcome.drill.nemesis import Nemesis, Struck
from firstcome.drill.traffic import Traffic

pytestmark = pytest.mark.unit

HEARD = [
    Heard(CLAIM, 7, "ann", "k", 99.9, 100, "REQUESTED", 1, "", False),
    Heard(INTRUSION, 7, "eve", None, 120, 120.1, "UNAUTHENTICATED", 0, "", False),
    Heard(STATUS, 7, "ann", None, 169.9, 170, "ISSUED", 1, "ISSUED", False),
]


def outcome(**fate: str) -> Outcome:
    """Return what becomes of a claim that waited 70 s, beside a fault of 40 s."""
    nemesis = Nemesis(repeat(None), cast(Traffic, None), lambda _: None)  # type: ignore[arg-type]
    nemesis.struck.append(
        Struck(1, "freeze", "redis", 40, False, 200, 9, began=99, healed=139, **fate)
    )
    return Leg(7, 320, lambda _: None)._outcome(200, HEARD, nemesis, [])


def test_long_fault_that_took_effect_excuses_a_long_wait() -> None:
    assert outcome(evidence="the kernel shows it as stopped").violations == []
    # It stood still, whatever could not be proven in the end.
    assert outcome(evidence="the kernel shows it", missed="2 restarts").violations == []


def test_long_fault_that_missed_excuses_nobody() -> None:
    (said,) = outcome(missed="redis is starting").violations
    assert "ann waited for 70.0 s" in said


def test_intruders_are_neither_claimants_nor_onlookers() -> None:
    found = outcome(evidence="the kernel shows it as stopped")
    assert (found.claimants, found.looks, found.intrusions) == (1, 1, 1)
