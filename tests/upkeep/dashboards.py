"""Writes the Grafana dashboards of deploy/grafana: one table of panels, asked of either store."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, VisibilityMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)

from tests.upkeep.k6_panels import K6
from tests.upkeep.panels import ENGINE, OURS, PREFIX, RUN, SCENARIO, Panel, Query

FOLDER = Path(__file__).parents[2] / "deploy/grafana"
WIDTH, HEIGHT = 24, 8  # of Grafana's grid
SOURCE_METRIC = f"{PREFIX}issued_total"  # every run has it: the variables are read from it


class InfluxQl(Dataquery):
    """A query as Grafana's InfluxDB plugin keeps it; the SDK has no builder for it."""

    def __init__(self, query: Query, ref_id: str) -> None:
        self._query, self.ref_id, self.hide = query, ref_id, False

    def to_json(self) -> dict[str, object]:
        alias = " ".join((self._query.words, *(f"$tag_{label}" for label in self._query.labels)))
        return {
            "refId": self.ref_id,
            "query": self._query.text,
            "rawQuery": True,
            "resultFormat": "time_series",
            "alias": alias.strip(),
        }


class _Built(Builder[Dataquery]):
    def __init__(self, query: InfluxQl) -> None:
        self._query = query

    def build(self) -> Dataquery:
        return self._query


class Kind(NamedTuple):
    """What differs between the two dashboards."""

    plugin: str
    title: str
    variable_query: Callable[[str, tuple[str, ...]], str]
    targets: Callable[[Panel], list[Builder[Dataquery]]]


def _label_values(name: str, known: tuple[str, ...]) -> str:
    matchers = ", ".join(f'{label}=~"${label}"' for label in known)
    return f"label_values({SOURCE_METRIC}{{{matchers}}}, {name})"


def _tag_values(name: str, known: tuple[str, ...]) -> str:
    where = " AND ".join(f'"{tag}" =~ /^${tag}$/' for tag in known)
    text = f'SHOW TAG VALUES FROM "{SOURCE_METRIC}" WITH KEY = "{name}"'
    return f"{text} WHERE {where}" if where else text


def _prometheus_targets(panel: Panel) -> list[Builder[Dataquery]]:
    found: list[Builder[Dataquery]] = []
    for ref_id, query in zip("ABCDEF", panel.prometheus, strict=False):
        legend = " ".join((query.words, *(f"{{{{{label}}}}}" for label in query.labels)))
        built = prometheus.Dataquery().expr(query.text).legend_format(legend.strip())
        found.append(built.range().ref_id(ref_id))
    return found


def _influxdb_targets(panel: Panel) -> list[Builder[Dataquery]]:
    return [
        _Built(InfluxQl(query, ref_id))
        for ref_id, query in zip("ABCDEF", panel.influxdb, strict=False)
    ]


KINDS = {
    "bench-prometheus": Kind("prometheus", "Prometheus", _label_values, _prometheus_targets),
    "bench-influxdb": Kind("influxdb", "InfluxDB", _tag_values, _influxdb_targets),
}


def dashboards() -> dict[Path, str]:
    """Return the text of each dashboard."""
    return {FOLDER / f"{name}.json": _text(name, kind) for name, kind in KINDS.items()}


def _text(name: str, kind: Kind) -> str:
    built = (
        dashboard.Dashboard(f"firstcome: runs, live ({kind.title})")
        .uid(f"firstcome-{name}")
        .description("Runs of `firstcome bench run` while they are on, engine beside engine.")
        .tags(["firstcome"])
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .time("now-15m", "now")
        .refresh("5s")
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("data source").type(kind.plugin)
        )
    )
    source = DataSourceRef(type_val=kind.plugin, uid="${datasource}")
    for variable in _variables(kind, source):
        built = built.with_variable(variable)
    number = itertools.count(1)
    for title, panels in _rows():
        built = built.with_row(dashboard.Row(title).id(next(number)))
        for panel in panels:
            chart = _chart(panel, kind, source).id(next(number))
            built = built.with_panel(chart.span(WIDTH // min(3, len(panels))))
    document: Any = built.build()
    return json.dumps(document, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _rows() -> Iterator[tuple[str, list[Panel]]]:
    """Return the rows of the dashboards with their panels, from top to bottom."""
    for title, panels in OURS.items():
        yield title, [ours.panel() for ours in panels]
        if title == "The crowd":
            yield "k6", list(K6)


def _variables(kind: Kind, source: DataSourceRef) -> list[dashboard.QueryVariable]:
    known: tuple[str, ...] = ()
    found = []
    for name in (RUN, ENGINE, SCENARIO):
        variable = (
            dashboard.QueryVariable(name)
            .label(name)
            .datasource(source)
            .query(kind.variable_query(name, known))
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_DESC)
            .multi(True)
            .include_all(True)
        )
        found.append(variable)
        known = (*known, name)
    return found


def _chart(panel: Panel, kind: Kind, source: DataSourceRef) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    return (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.says)
        .unit(panel.unit)
        .min(0)
        .datasource(source)
        .interval("1s")
        .show_points(VisibilityMode.NEVER)
        .legend(legend)
        .height(HEIGHT)
        .targets(kind.targets(panel))
    )
