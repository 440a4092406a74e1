"""The stack that is broken again and again, and the seed of the run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import RunningStack, started

# The sweeper's patience is cut, to spend the tests' time on faults instead; one test keeps all
# settings as they are.
SCALED = {"FIRSTCOME_SWEEPER__DUE_AFTER_SECONDS": "5", "FIRSTCOME_SWEEPER__TICK_SECONDS": "1"}


@pytest.fixture(scope="session")
def seed() -> int:
    """FIRSTCOME_SEED, or one that stays the same: long runs are for fresh ones."""
    return int(os.environ.get("FIRSTCOME_SEED") or 1)


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with two api processes, for all faults but one; FIRSTCOME_FAULT_STACK names one."""
    if named := os.environ.get("FIRSTCOME_FAULT_STACK"):
        yield RunningStack(Path(named).absolute(), SCALED)
        return
    with started(tmp_path_factory.mktemp("fragile") / "stack", "--api", "2", **SCALED) as running:
        yield running
