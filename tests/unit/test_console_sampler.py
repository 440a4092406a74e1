"""What the console tells while an engine is away: nothing that was true a moment ago."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from console_stage import report

from firstcome.console.overview import GateState, GateView, Overview
from firstcome.console.sampler import Sampler, _tell
from firstcome.errors import DatabaseUnavailable, GateUnavailable
from firstcome.metrics import catalogue

pytestmark = pytest.mark.unit


def away() -> Any:
    """Open no session."""
    raise DatabaseUnavailable("PostgreSQL is away")


def no_gate() -> Any:
    """Redis is away too."""
    raise GateUnavailable("Redis is away")


def test_an_overview_counts_anew_after_a_failure() -> None:
    overview = Overview(away, away, away)
    overview._floors = {7: 100}
    with pytest.raises(DatabaseUnavailable):
        overview.read()
    assert overview._floors == {}, "the database may be another one the next time"


def test_a_sampler_forgets_what_it_cannot_see() -> None:
    catalogue.DATABASE_UP.set(1)
    catalogue.OUTBOX_EVENTS.set(12)
    catalogue.REDIS_MEMORY.set(1e9)
    catalogue.REDIS_WRITES.set(0)
    sampler = Sampler(Overview(away, no_gate, away), away, no_gate)
    sampler.run_once()
    assert sampler.latest is None
    assert catalogue.DATABASE_UP.of().now() == 0
    assert all(gauge.series == {} for gauge in catalogue.OF_THE_DROP)
    assert catalogue.REDIS_UP.of().now() == 0
    assert all(gauge.series == {} for gauge in catalogue.OF_REDIS)


def test_a_sampler_without_redis_tells_no_claims_under_way() -> None:
    seen = report()
    (drop,) = seen.campaigns
    _tell(seen)
    assert catalogue.LAG_CLAIMS.of().now() == drop.under_way
    unseen = msgspec.structs.replace(drop, gate=GateView(GateState.UNREACHABLE), under_way=None)
    _tell(msgspec.structs.replace(seen, campaigns=[unseen]))
    assert catalogue.LAG_CLAIMS.series == {}


def test_a_sampler_tells_of_disks_while_everything_else_is_away(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    sampler = Sampler(Overview(away, no_gate, away), away, no_gate, disk_folders=[gone, tmp_path])
    sampler.run_once()
    seen = os.statvfs(tmp_path)
    assert set(catalogue.DISK_FREE.series) == {(str(tmp_path),)}
    size = catalogue.DISK_SIZE.of(str(tmp_path)).now()
    assert size == seen.f_blocks * seen.f_frsize
    assert 0 <= catalogue.DISK_FREE.of(str(tmp_path)).now() <= size
