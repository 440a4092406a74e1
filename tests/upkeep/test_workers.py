"""The list of tests that workers share out names files that are there."""

import pytest

from tests.upkeep.generate import ROOT
from tests.workers import APART, BY_PARAMETER, LONG, TOGETHER, company_of, rank_of

pytestmark = pytest.mark.upkeep


def test_every_file_that_is_listed_exists() -> None:
    long = {name.partition("[")[0] for name in LONG} - set(TOGETHER.values())
    listed = APART | BY_PARAMETER | TOGETHER.keys() | long
    assert {path for path in listed if not (ROOT / "tests" / path).exists()} == set()


def test_a_test_stays_with_its_file_unless_the_list_says_otherwise() -> None:
    assert company_of("tests/integration/test_gate.py::test_a[1]") == "integration/test_gate.py"
    assert company_of("tests/acceptance/test_user.py::test_a") == "stack"
    assert company_of("tests/acceptance/test_events.py::test_a[wal]").endswith(".py[wal]")
    alone = "tests/faults/test_faults.py::test_a"
    assert company_of(alone) == alone


def test_what_takes_long_begins_first() -> None:
    ranks = [
        rank_of("tests/acceptance/test_user.py::test_a"),
        rank_of("tests/acceptance/test_events.py::test_a[wal]"),
        rank_of("tests/faults/test_selftest.py::test_a[b]"),
        rank_of("tests/faults/test_faults.py::test_a"),
    ]
    assert ranks == sorted(ranks)
    assert ranks[-1] == len(LONG)
