"""Outages by default settings, shorter than `make outages` does them; every promise is the same.

One stack for all: an engine that comes back has to work with whatever the last outage left.
"""

from collections.abc import Callable, Iterator

import pytest

from firstcome.drill import consumer_pause, outages
from firstcome.drill.outages import Outage, Times
from firstcome.drill.stage import Stage, staged

pytestmark = pytest.mark.faults

RATE = 300.0


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A stack with default settings."""
    with staged() as running:
        yield running


@pytest.mark.parametrize(
    ("outage", "times"),
    [
        (outages.kafka_away, Times(4, 5, 10)),
        (outages.postgres_away, Times(3, 4, 4)),
        (outages.redis_wiped, Times(3, 0, 10)),
    ],
)
def test_outage_is_as_promised(
    outage: Callable[..., Outage], times: Times, stage: Stage, seed: int
) -> None:
    print(f"seed {seed}")
    found = outage(stage, times, RATE, seed, print)
    print(found.moments, found.evidence, found.answers)
    assert [line for line in found.lines if not line.held] == []


def test_recorders_that_pause_lose_nothing(
    stage: Stage, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {seed}")
    for name, seconds in (("BEFORE_SECONDS", 6.0), ("AFTER_SECONDS", 3.0)):
        monkeypatch.setattr(consumer_pause, name, seconds)
    # Longer than the group waits for a silent member.
    found = consumer_pause.pause(stage, 7.0, RATE, seed, print)
    assert found.violations == []
    assert set(found.codes) == {"REQUESTED"}
    assert found.peak_lag_claims > 6 * RATE
    assert found.during.recorded == 0
    assert found.recovery_seconds < 10
