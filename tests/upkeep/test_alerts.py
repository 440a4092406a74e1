"""The alerts ask for metrics that there are, say what a person needs, and have a runbook each.

That they fire and are silent when they should is promtool's to say, in tests/system.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import typer
import yaml

from firstcome.cli import command
from firstcome.metrics.catalogue import METRICS
from firstcome.metrics.instruments import Histogram
from tests.upkeep.alerts import Alert, alerts, rules, unit_tests
from tests.upkeep.generate import ROOT

pytestmark = pytest.mark.upkeep

RUNBOOKS = ROOT / "docs/runbooks"
ALERTS = alerts()
# What Prometheus itself adds to a series, and what the list of targets does.
TARGET_LABELS = {"job", "instance", "process", "role"}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
FOREIGN = {
    "up": set[str](),
    "node_filesystem_avail_bytes": {"device", "fstype", "mountpoint"},
    "node_filesystem_size_bytes": {"device", "fstype", "mountpoint"},
}
PARTS = (
    "What it means",
    "What customers see",
    "How to look",
    "What to do",
    "How to see that it is over",
    "How to rehearse it",
)
# In a line of its own, up to its comment, or within a text.
COMMAND = re.compile(r"(?:^|`)(firstcome \w[^`#\n]*?)(?=\s*(?:`|#|$))", re.MULTILINE)
by_name = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def known_series() -> dict[str, set[str]]:
    """Return every series that can be asked for, with its labels."""
    known = dict(FOREIGN) | {name: set[str]() for name in RECORDED}
    for metric in METRICS:
        labels = set(metric.labels)
        if isinstance(metric, Histogram):
            known[f"{metric.name}_count"] = known[f"{metric.name}_sum"] = labels
            known[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            known[metric.name] = labels
    return known


def bounds_of(series: str) -> set[str]:
    """Return the values that the label `le` of a histogram's buckets has."""
    (metric,) = [each for each in METRICS if f"{each.name}_bucket" == series]
    assert isinstance(metric, Histogram)
    return {*map(str, metric.bounds), "+Inf"}


def parsed(expr: str) -> tuple[list[Any], set[str]]:
    """Return a query's selectors, and the labels that it groups by."""
    selectors: list[Any] = []
    groups = set[str]()

    def look(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            groups.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(expr), pre_visit=look)
    return selectors, groups


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_rule_asks_for_series_and_labels_that_exist(rule: dict[str, Any]) -> None:
    known = known_series()
    selectors, groups = parsed(rule["expr"])
    assert selectors
    for selector in selectors:
        assert selector.name in known, f"nobody tells {selector.name}"
        matchers = {each.name: each.value for each in selector.matchers.matchers}
        assert set(matchers) <= known[selector.name] | TARGET_LABELS
        if "le" in matchers:
            assert matchers["le"] in bounds_of(selector.name)
    everything = set().union(*(known[selector.name] for selector in selectors))
    assert groups <= everything | TARGET_LABELS


def test_every_recorded_rule_is_used_by_an_alert() -> None:
    asked = " ".join(alert.expr for alert in ALERTS)
    assert {name for name in RECORDED if name not in asked} == set()


@by_name
def test_every_alert_says_what_a_person_needs(alert: Alert) -> None:
    assert alert.labels["severity"] in ("critical", "warning")
    assert set(alert.annotations) == {"summary", "impact", "action", "runbook_url"}
    link = f"{{{{ $externalLabels.docs }}}}/runbooks/{alert.page}"
    assert alert.annotations["runbook_url"] == link
    for name in ("summary", "impact", "action"):
        text = alert.annotations[name]
        assert text[-1] == "."
        assert len(text) < 200
    assert wrong_commands(alert.annotations["action"]) == []


@by_name
def test_messages_use_labels_that_the_alert_has(alert: Alert) -> None:
    known = known_series()
    selectors, groups = parsed(alert.expr)
    kept = groups or set().union(*(known[each.name] for each in selectors)) | TARGET_LABELS
    said = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
    assert said <= kept | set(alert.labels)


@by_name
def test_every_alert_is_tried_by_promtool(alert: Alert) -> None:
    """It is silent at one moment and fires at another."""
    mine = [each for each in unit_tests() if each["name"].partition(",")[0] == alert.name]
    assert mine, f"firstcome.rules.test.yml does not know {alert.name}"
    for each in mine:
        checks = each["promql_expr_test"]
        assert all(f'alertname="{alert.name}",alertstate="firing"' in one["expr"] for one in checks)
        assert [bool(one.get("exp_samples")) for one in checks][:2] == [False, True]


def test_every_alert_is_tried_end_to_end() -> None:
    """That one who is named there is told too, and over again, is what these tests do."""
    files = sorted((ROOT / "tests/system").glob("test_alerting*.py"))
    tried = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [alert.name for alert in ALERTS if f'"{alert.name}"' not in tried] == []
    page = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    assert [file.name for file in files if file.name not in page] == []


def test_alertmanager_holds_back_only_alerts_that_there_are() -> None:
    names = {alert.name for alert in ALERTS}
    document = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text("utf-8"))
    matchers = [
        matcher
        for rule in document["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
    ]
    assert all(matcher.startswith("alertname =") for matcher in matchers)
    said = {word for matcher in matchers for word in re.findall(r"\w+", matcher)[1:]}
    assert said - {"Gone"} <= names  # .+Gone stands for several


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    pages = {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert pages == {alert.page for alert in ALERTS}


@by_name
def test_every_runbook_has_its_parts(alert: Alert) -> None:
    text = page_of(alert)
    assert text.startswith(f"# {alert.name}\n")
    assert tuple(re.findall(r"^## (.*)$", text, re.MULTILINE)) == PARTS
    severity = re.search(r"^\*\*(critical|warning)\*\*", text, re.MULTILINE)
    assert severity is not None
    assert severity[1] == alert.labels["severity"]


@by_name
def test_every_command_of_a_runbook_exists(alert: Alert) -> None:
    assert COMMAND.search(page_of(alert)), "a runbook names at least one command"
    assert wrong_commands(page_of(alert)) == []


def test_wrong_commands_of_a_page_are_found() -> None:
    assert wrong_commands("`firstcome verify --campaign 7`, `firstcome logs api -n 50`") == []
    assert wrong_commands("```sh\nfirstcome verfy   # x\n```") == ["firstcome verfy"]
    assert wrong_commands("`firstcome verify --user a`") == ["firstcome verify --user a"]
    assert wrong_commands("`firstcome relay`") == ["firstcome relay"]


def test_pages_that_list_the_alerts_list_all_of_them() -> None:
    for page in (RUNBOOKS / "README.md", ROOT / "docs/monitoring.md"):
        text = page.read_text(encoding="utf-8")
        listed = re.findall(r"^\| \[(\w+)\]\((?:runbooks/)?([\w-]+\.md)\)", text, re.MULTILINE)
        assert listed == [(alert.name, alert.page) for alert in ALERTS], page.name


def page_of(alert: Alert) -> str:
    """Return an alert's runbook."""
    return Path(RUNBOOKS / alert.page).read_text(encoding="utf-8")


@cache
def verbs() -> dict[str, set[str]]:
    """Return every command, such as `firstcome campaign pause`, with its options."""
    return dict(_verbs(("firstcome",), typer.main.get_command(command.app)))


def _verbs(path: tuple[str, ...], group: Any) -> Iterator[tuple[str, set[str]]]:
    for name, child in group.commands.items():
        if hasattr(child, "commands"):
            yield from _verbs((*path, name), child)
        else:
            yield " ".join((*path, name)), {opt for each in child.params for opt in each.opts}


def wrong_commands(text: str) -> list[str]:
    """Return the commands in a text that there are not, or not with these options."""
    wrong = []
    for line in COMMAND.findall(text):
        words = line.split()
        verb = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in verbs()), None)
        options = {word for word in words if word.startswith("-")}
        if verb is None or not options <= verbs()[verb]:
            wrong.append(line)
    return wrong


def test_messages_use_no_function_that_two_of_them_may_not_use_at_once() -> None:
    text = (ROOT / "deploy/alertmanager/firstcome.tmpl").read_text()
    without_comments = re.sub(r"\{\{/\*.*?\*/\}\}", "", text)
    assert not re.search(r"\|\s*title\b|\{\{-?\s*title\b", without_comments)
