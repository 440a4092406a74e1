"""One small run of each engine by the command line: whether measuring works, not how fast."""

import json
from pathlib import Path

import pytest

from running import RunningStack

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("engine", ["kafka", "direct"])
def test_smoke_run_is_measured_judged_and_noted(tmp_path: Path, engine: str) -> None:
    here = RunningStack(tmp_path / "none")
    history = tmp_path / "history.jsonl"
    options = ("--engine", engine, "--history", str(history), "--seed", "5")
    found = here.said("bench", "run", "--scenario", "smoke", *options)
    assert found["outcome"]["held"] is True
    assert found["outcome"]["issued"] == found["outcome"]["expected"] == 1000
    assert found["load"]["faults"] == found["load"]["overloaded"] == 0
    load = found["load"]
    assert load["served"] + load["refused"] == load["requests"] == 4950
    assert len(found["samples"]) >= 9
    seen = {name for sample in found["samples"] for name in sample["values"]}
    assert {"requests_per_second", "process_cpu_percent", "postgres_connections"} <= seen
    assert ("consumer_lag_claims" in seen) is (engine == "kafka")
    [line] = history.read_text().splitlines()
    assert json.loads(line)["outcome"] == found["outcome"]
    trends = here.said("bench", "history", "--history", str(history))
    assert {trend["figure"] for trend in trends} == {"persisted", "http p95", "issued p95", "cpu"}
    assert not any(trend["regressed"] for trend in trends)


def test_unknown_engine_or_scenario_is_refused_with_those_that_are(tmp_path: Path) -> None:
    here = RunningStack(tmp_path / "none")
    for option in ("--engine", "--scenario"):
        done = here.start("bench", "run", option, "nonsense")
        _, told = done.communicate(timeout=60)
        assert done.returncode == 2
        assert "nonsense" in told
        assert "kafka" in told or "source" in told
