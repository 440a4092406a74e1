"""Recorders come and go under load, by hand and by the autoscaler; the drill does it longer."""

from collections.abc import Iterator

import pytest

from firstcome.drill import scaling
from firstcome.drill.rehearsal import Load
from firstcome.drill.stage import Stage, staged

pytestmark = pytest.mark.faults

CYCLES, RATE = 3, 500.0
# Some 400 records and more, of which two recorders at most are asked for by the lag alone: so
# here it is the time to drain that asks.
LAG = Load(5000.0, 13.2, 60_000, 1)


@pytest.fixture
def default() -> Iterator[Stage]:
    """A stack with default settings."""
    with staged() as running:
        yield running


def test_recorders_that_come_and_go_break_no_law(default: Stage, seed: int) -> None:
    print(f"seed {seed}")
    found = scaling.cycle(default, CYCLES, RATE, seed, print)
    assert found.violations == []
    assert found.under_load > 0


def test_autoscaler_adds_recorders_for_a_lag_and_lets_them_go(seed: int) -> None:
    with scaling.slow_stage(print) as stage:
        found = scaling.drain(stage, LAG, print, autoscale=True)
        print(found)
        print(stage.stack.run("logs", "autoscaler", "-n", "40"))
    assert found.violations == []
    assert found.added_seconds is not None
    assert found.added_seconds <= 10
    assert found.recorders_max > 1
    assert found.recorders_end == 1
