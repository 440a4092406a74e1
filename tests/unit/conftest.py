"""What several unit tests share: a console without engines, made once."""

from collections.abc import Iterator

import pytest
from console_stage import Stage, staged


@pytest.fixture(scope="session")
def running_stage() -> Iterator[Stage]:
    """A console that all tests of its pages use."""
    with staged() as running:
        yield running


@pytest.fixture
def stage(running_stage: Stage) -> Stage:
    """The same, as if nobody had ever used it."""
    running_stage.clear()
    return running_stage
