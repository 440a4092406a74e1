"""The harness catches a few planted bugs; `make faults-selftest` plants all of them."""

import pytest

from tests.faults.plants.catalogue import PLANTS
from tests.faults.plants.selftest import examine

pytestmark = pytest.mark.faults

# One each for the record, the order and the rebuild.
A_FEW = ("users_mixed_up", "positions_from_the_top", "limit_not_raised")


@pytest.mark.parametrize("name", A_FEW)
def test_harness_catches_a_planted_bug(name: str, seed: int) -> None:
    result = examine(PLANTS[name], seed)
    assert result.passed, f"seed {seed}\n{result.words()}"
