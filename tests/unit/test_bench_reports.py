"""The pages of the failpoint sweep and of the rebuild: figures in, findings shown."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from firstcome.drill.cases import Case
from firstcome.failpoints import Action

pytestmark = pytest.mark.unit


def script(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_failpoints_page_shows_what_did_not_hold() -> None:
    bench = script("failpoints")
    outcomes = [
        bench.Outcome(1, Case("after_lock", Action.KILL), "abc", "held", "recorder-1", 2.6),
        bench.Outcome(2, Case("after_lock", Action.KILL), "abc", "held", "recorder-2", 9.4),
        bench.Outcome(1, Case("after_lock", Action.DROP), "abc", "held", "recorder-1", 1.0),
        bench.Outcome(2, Case("after_lock", Action.DROP), "abc", "l3: ann holds nothing", "", 0.0),
    ]
    page = bench.page(outcomes, {"cores": "2"})
    assert "| `after_lock` | 2/2, 9 s | **1/2, 1 s** |" in page
    assert "**3 of 4**" in page
    assert "l3: ann holds nothing" in page
    assert "What was wrong" not in bench.page(outcomes[:3], {})


def test_rebuild_page_says_whether_the_goal_was_met() -> None:
    bench = script("rebuild")
    runs = [bench.Run("by itself", 13.04, 12.0, 40.2), bench.Run("by command", 61.0, 60.0, 40.0)]
    page = bench.page("2026-11-21", 1_000_000, runs, {})
    assert "| by itself | 13.0 | 12.0 | 40 |" in page
    assert "the goal was MISSED" in page
    assert "the goal was met" in bench.page("2026-11-21", 1_000_000, runs[:1], {})
