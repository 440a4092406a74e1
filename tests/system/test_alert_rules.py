"""Every alert by promtool itself: silent just below its threshold, firing beyond it, over again.

That each alert is among the tried ones is a test of tests/upkeep. Configurations are read by the
programs that use them.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

DEPLOY = Path(__file__).parents[2] / "deploy"
PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}


def run(program: str, *arguments: str) -> str:
    """Run one of the two tools to a good end; return what it said."""
    if shutil.which(program) is None:
        pytest.fail(
            "nothing shows that alerts fire: "
            f"apt-get install --no-install-recommends {PACKAGES[program]}"
        )
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_every_alert_is_silent_below_and_fires_beyond_its_threshold() -> None:
    said = run("promtool", "test", "rules", str(DEPLOY / "prometheus/firstcome.rules.test.yml"))
    assert "SUCCESS" in said


def test_unit_tests_of_the_rules_can_fail(tmp_path: Path) -> None:
    rules = (DEPLOY / "prometheus/firstcome.rules.yml").read_text()
    assert rules.count("firstcome_lag_seconds) > 15") == 1
    for name in ("firstcome.rules.yml", "firstcome.rules.test.yml"):
        shutil.copy(DEPLOY / "prometheus" / name, tmp_path)
    for planted in ("firstcome_lag_seconds) > 14", "firstcome_lag_seconds) > 16"):
        broken = rules.replace("firstcome_lag_seconds) > 15", planted)
        (tmp_path / "firstcome.rules.yml").write_text(broken)
        with pytest.raises(AssertionError, match="LagOld"):
            run("promtool", "test", "rules", str(tmp_path / "firstcome.rules.test.yml"))


def test_prometheus_and_alertmanager_accept_their_configurations() -> None:
    run("promtool", "check", "config", str(DEPLOY / "prometheus/prometheus.yml"))
    run("amtool", "check-config", str(DEPLOY / "alertmanager/alertmanager.yml"))
