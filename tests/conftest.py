"""One whole stack for the tests that break nothing: started once, removed at the end.

FIRSTCOME_TEST_STACK names the state folder of a stack that runs already; it is used then, and
left running. Tests that destroy something start their own.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import RunningStack, started


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A whole stack with default settings."""
    if named := os.environ.get("FIRSTCOME_TEST_STACK"):
        yield RunningStack(Path(named).absolute())
        return
    with started(tmp_path_factory.mktemp("shared") / "stack", "--auth", "jwt") as running:
        yield running
