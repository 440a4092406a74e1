"""The dashboards of deploy/grafana ask for what there is, by its right name and unit.

That they are what the generator writes is a test of the generated pages; that real servers answer
their queries, and that k6 writes the series named here, is one of tests/system.
"""

import json
import re
from typing import Any

import promql_parser
import pytest

from firstcome.bench.collect.samples import METRICS, PREFIX
from tests.upkeep.dashboards import KINDS, dashboards
from tests.upkeep.k6_panels import K6, K6_LABELS, K6_MEASUREMENTS, K6_SERIES
from tests.upkeep.panels import OURS, UNITS

pytestmark = pytest.mark.upkeep

OUR_LABELS = {f"{PREFIX}{metric.name}": {metric.label} - {""} for metric in METRICS}
RUN_LABELS = {"run", "engine", "scenario"}
TEXTS = {path.stem: text for path, text in dashboards().items()}
CHARTS = {
    name: [panel for panel in json.loads(text)["panels"] if panel["type"] != "row"]
    for name, text in TEXTS.items()
}


def known_labels(name: str, k6: set[str]) -> set[str]:
    """Return the labels that a series has; fails for one that nobody writes."""
    if name in OUR_LABELS:
        return OUR_LABELS[name] | RUN_LABELS
    assert name in k6, f"nobody writes {name}"
    return K6_LABELS


def selectors_and_groups(expr: Any) -> tuple[list[Any], set[str]]:
    """Return the vector selectors of a parsed query, and the labels that it groups by."""
    selectors, groups = [], set[str]()

    def look(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            groups.update(node.modifier.labels)

    promql_parser.walk(expr, pre_visit=look)
    return selectors, groups


def targets(name: str) -> list[Any]:
    """Return the queries of a dashboard, each with a name for people."""
    return [
        pytest.param(target, id=f"{chart['title']} {target['refId']}")
        for chart in CHARTS[name]
        for target in chart["targets"]
    ]


@pytest.mark.parametrize("target", targets("bench-prometheus"))
def test_every_promql_asks_for_series_and_labels_that_exist(target: dict[str, Any]) -> None:
    selectors, groups = selectors_and_groups(promql_parser.parse(target["expr"]))
    (selector,) = selectors
    known = known_labels(selector.name, K6_SERIES)
    matched = {matcher.name for matcher in selector.matchers.matchers}
    assert matched | groups <= known
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= (groups or known)
    if selector.name in K6_SERIES:
        assert matched == {"run", "engine"}  # `scenario` is k6's own
    else:
        assert matched == RUN_LABELS


@pytest.mark.parametrize("target", targets("bench-influxdb"))
def test_every_influxql_asks_for_measurements_and_tags_that_exist(target: dict[str, Any]) -> None:
    text = target["query"]
    (measurement,) = re.findall(r'FROM "(\w+)"', text)
    known = known_labels(measurement, K6_MEASUREMENTS)
    matched = set(re.findall(r'"(\w+)" =~ /\^\$\1\$/', text))
    (by,) = re.findall(r"GROUP BY time\(\$__interval\), (.*) fill\(none\)$", text)
    grouped = set(re.findall(r'"(\w+)"', by))
    assert matched | grouped <= known
    assert set(re.findall(r"\$tag_(\w+)", target["alias"])) <= grouped
    assert matched == ({"run", "engine"} if measurement in K6_MEASUREMENTS else RUN_LABELS)


@pytest.mark.parametrize("name", KINDS)
def test_each_metric_is_shown_once_with_its_unit_and_words(name: str) -> None:
    shown = {}
    for chart in CHARTS[name]:
        for target in chart["targets"]:
            asked = re.findall(rf"\b{PREFIX}(\w+)", target.get("expr") or target["query"])
            shown.update(dict.fromkeys(asked, chart))
    assert shown.keys() == {metric.name for metric in METRICS}
    for metric in METRICS:
        chart = shown[metric.name]
        assert chart["fieldConfig"]["defaults"]["unit"] == UNITS[metric.unit]
        assert metric.says in chart["description"]
        assert chart["title"]


@pytest.mark.parametrize("name", KINDS)
def test_operators_can_choose_data_source_run_engine_and_scenario(name: str) -> None:
    document = json.loads(TEXTS[name])
    variables = {each["name"]: each for each in document["templating"]["list"]}
    assert list(variables) == ["datasource", "run", "engine", "scenario"]
    assert variables["datasource"]["query"] == KINDS[name].plugin
    sources = {each["datasource"]["uid"] for each in (*CHARTS[name], *list(variables.values())[1:])}
    assert sources == {"${datasource}"}
    used = set(re.findall(r"\$(\w+)", TEXTS[name])) - {"__interval", "__interval_ms", "timeFilter"}
    assert {each for each in used if not each.startswith("tag_")} == RUN_LABELS


def test_both_dashboards_show_the_same_charts_in_the_same_order() -> None:
    first, second = (
        [(chart["title"], chart["description"], chart["gridPos"]) for chart in CHARTS[name]]
        for name in KINDS
    )
    assert first == second
    assert len(first) == sum(len(panels) for panels in (*OURS.values(), K6))


@pytest.mark.parametrize("name", KINDS)
def test_panels_of_a_dashboard_have_numbers_of_their_own(name: str) -> None:
    numbers = [panel["id"] for panel in json.loads(TEXTS[name])["panels"]]
    assert len(set(numbers)) == len(numbers)
