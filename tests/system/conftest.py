"""What the machine must offer, and stacks whose engines stand on small disks or false clocks.

A missing tool or right fails the test that needs it, with what to install: nothing is skipped.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from disk import Disk
from slack import Slack

from firstcome.bench.stack import RunningStack

# Small enough to fill in a moment, large enough for the data of a few minutes.
DISKS = {"redis": 64, "postgres": 256, "kafka-1": 128}


@pytest.fixture(scope="session")
def seed() -> int:
    """FIRSTCOME_SEED, or one that stays the same."""
    return int(os.environ.get("FIRSTCOME_SEED") or 1)


@pytest.fixture(scope="session")
def scaled() -> dict[str, str]:
    """The sweeper's patience is cut, to spend the time on faults instead."""
    return {
        "FIRSTCOME_SWEEPER__DUE_AFTER_SECONDS": "5",
        "FIRSTCOME_SWEEPER__TICK_SECONDS": "1",
    }


@pytest.fixture(scope="module")
def slack() -> Iterator[Slack]:
    """A webhook of a module's own."""
    slack = Slack()
    yield slack
    slack.close()


@pytest.fixture(scope="session")
def strace() -> None:
    """The program, and the right to trace another process."""
    if shutil.which("strace") is None:
        pytest.fail("strace is missing, so no fsync can be broken: apt-get install strace")


@pytest.fixture(scope="session")
def root() -> None:
    """The right to mount."""
    if os.geteuid() != 0:
        pytest.fail("only root may mount the small disks: run `make test-system` as root")


@pytest.fixture(scope="session")
def disks(root: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Disk]:
    """Each engine's own disk, by its name; the stack of `cramped` stands on them."""
    state = tmp_path_factory.mktemp("cramped") / "stack"
    return {name: Disk(state / name, megabytes) for name, megabytes in DISKS.items()}


@pytest.fixture(scope="session")
def cramped(disks: dict[str, Disk], scaled: dict[str, str]) -> Iterator[RunningStack]:
    """A stack whose engines have a small disk each."""
    state = next(iter(disks.values())).folder.parent
    stack = RunningStack(state, scaled)
    try:
        stack.said("up", "--engines-only")
        stack.said("down")
        for disk in disks.values():
            disk.move_in()
        stack.said("up")
        yield stack
    finally:
        stack.said("down")
        for disk in disks.values():
            disk.unmount()
        stack.said("down", "--wipe")
