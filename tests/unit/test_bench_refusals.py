"""Lock time-outs of a run, from what api processes tell."""

import pytest

from firstcome.bench.collect.refusals import Refusals

pytestmark = pytest.mark.unit

TOLD = """# TYPE firstcome_direct_refusals_total counter
firstcome_direct_refusals_total{kind="lock_timeout"} 3
firstcome_direct_refusals_total{kind="deadlock"} 5
"""


def test_lock_timeouts_of_all_processes_are_added_up() -> None:
    told = {"one": TOLD, "other": TOLD.replace(" 3", " 4"), "fresh": "firstcome_up 1\n"}
    assert Refusals(lambda: told, told.__getitem__).read() == {"lock_timeouts_total": {"": 7.0}}


def test_no_sum_is_told_while_a_process_does_not_answer() -> None:
    def read(url: str) -> str:
        if url == "gone":
            raise OSError("planted")
        return TOLD

    assert Refusals(lambda: ["one", "gone"], read).read() == {}
    assert Refusals(list, read).read() == {}
