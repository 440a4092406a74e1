"""One whole stack for the tests that break nothing: started once, removed at the end.

FIRSTCOME_TEST_STACK names the state folder of a stack that runs already; it is used then, and
left running. Tests that destroy something start their own. With several workers (pytest -n) each
has a stack of its own.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from running import RunningStack, started
from tests.workers import Workers, rank_of

LOG_LINES = 25  # of each process, after a failure


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A whole stack with default settings."""
    if named := os.environ.get("FIRSTCOME_TEST_STACK"):
        yield RunningStack(Path(named).absolute())
        return
    with started(tmp_path_factory.mktemp("shared") / "stack", "--auth", "jwt") as running:
        yield running


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a worker's list begin with what takes long; workers take from its beginning."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank_of(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Workers:
    """Decide which worker gets which tests."""
    return Workers(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport]:
    """Show what the processes of a test's stack said last, if the test has failed."""
    report = yield
    if report.when == "call" and report.failed:
        lent = getattr(item, "funcargs", {}).values()
        stacks = {id(stack): stack for each in lent if (stack := _stack_of(each)) is not None}
        report.sections += [
            (f"logs of {stack.state}", stack.run("logs", "-n", str(LOG_LINES), exit_code=None))
            for stack in stacks.values()
        ]
    return report


def _stack_of(fixture: object) -> RunningStack | None:
    found = fixture if isinstance(fixture, RunningStack) else getattr(fixture, "stack", None)
    return found if isinstance(found, RunningStack) else None
