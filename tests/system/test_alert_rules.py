"""Every alert by promtool itself: silent just below its threshold, firing beyond it, over again.

That each alert is among the tried ones is a test of tests/upkeep. Configurations are read by the
programs that use them.
"""

import json
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


@pytest.mark.parametrize(
    ("status", "docs", "title", "text"),
    [
        (
            "firing",
            "https://docs.example",
            "Critical: LagOld (2)",
            "A record waits.\nA record waits.\n*For customers:* Late coupons.\n*To do:* Wait.\n"
            "<https://docs.example/runbooks/lag-old.md|Runbook> · <http://p/graph?x=1|Graph> · "
            "<http://a/#/silences/new?filter=%7Balertname%3D%22LagOld%22%7D|Silence>",
        ),
        (
            "resolved",
            "docs",
            "Over: LagOld",
            "Over since 00:10:00 UTC. It was: A record waits.\n" * 2
            + "Runbook: docs/runbooks/lag-old.md · <http://p/graph?x=1|Graph>",
        ),
    ],
)
def test_message_is_what_its_reader_needs(
    tmp_path: Path, status: str, docs: str, title: str, text: str
) -> None:
    labels = {"alertname": "LagOld", "severity": "critical"}
    annotations = {
        "summary": "A record waits.",
        "impact": "Late coupons.",
        "action": "Wait.",
        "runbook_url": f"{docs}/runbooks/lag-old.md",
    }
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "endsAt": "2026-11-22T00:10:00Z",
        "generatorURL": "http://p/graph?x=1",
    }
    group = {
        "status": status,
        "alerts": [alert, alert],
        "groupLabels": {"alertname": "LagOld"},
        "commonLabels": labels,
        "externalURL": "http://a",
    }
    data = tmp_path / "data.json"
    data.write_text(json.dumps(group))

    def rendered(template: str) -> str:
        return run(
            *("amtool", "template", "render"),
            f"--template.glob={DEPLOY / 'alertmanager/*.tmpl'}",
            f"--template.data={data}",
            f'--template.text={{{{ template "firstcome.{template}" . }}}}',
        ).strip()

    assert rendered("title") == title
    assert rendered("text") == text
    assert rendered("graph") == "http://p/graph?x=1"
