"""What the Grafana dashboards of deploy/grafana show, and how each panel asks its store.

One table for both stores: panels of our samples are written once, and their queries follow from
METRICS. k6's own series differ too much between the two outputs; their queries are written out.
"""

from collections.abc import Iterator
from typing import NamedTuple

from firstcome.bench.collect.samples import METRICS, PREFIX, Metric

BY_NAME = {metric.name: metric for metric in METRICS}
# Metric.unit -> Grafana's. Sums of things have no unit of their own there.
UNITS = {
    "requests/s": "reqps",
    "rows": "short",
    "%": "percent",
    "bytes": "bytes",
    "sessions": "short",
    "transactions/s": "ops",
    "deadlocks": "short",
    "commands/s": "ops",
    "records": "short",
    "claims": "short",
    "bytes/s": "binBps",
}
# Older points are not drawn on: the line of a run ends with it. Longer than k6's push, every 5 s.
OURS_SECONDS, K6_SECONDS = 5, 15
RUN, ENGINE, SCENARIO = "run", "engine", "scenario"
# As k6 1.1.0 writes them; tests/system/test_stores.py has it write them.
K6_SERIES = {
    "k6_http_reqs_total",
    "k6_http_req_duration_avg",
    "k6_http_req_duration_p95",
    "k6_http_req_duration_p99",
    "k6_iteration_duration_avg",
    "k6_iteration_duration_p95",
    "k6_vus",
    "k6_vus_max",
    "k6_data_sent_total",
    "k6_data_received_total",
}
K6_MEASUREMENTS = {
    "http_reqs",
    "http_req_duration",
    "iteration_duration",
    "vus",
    "vus_max",
    "data_sent",
    "data_received",
}
K6_LABELS = {"run", "engine", "scenario", "status"}


class Query(NamedTuple):
    """One query, and the name of its lines: words, then the values of labels."""

    text: str
    words: str
    labels: tuple[str, ...]


class Panel(NamedTuple):
    """One chart, asking both stores."""

    title: str
    unit: str
    says: str
    prometheus: list[Query]
    influxdb: list[Query]


class Ours(NamedTuple):
    """A panel of our samples; with several metrics each has a word in the legend."""

    title: str
    metrics: dict[str, str]

    def panel(self) -> Panel:
        metrics = {BY_NAME[name]: words for name, words in self.metrics.items()}
        (unit,) = {UNITS[metric.unit] for metric in metrics}
        says = [
            f"{words}: {metric.says}" if words else metric.says for metric, words in metrics.items()
        ]
        return Panel(
            self.title,
            unit,
            "\n\n".join(says),
            [_promql(metric, words) for metric, words in metrics.items()],
            [_influxql(metric, words) for metric, words in metrics.items()],
        )


def _promql(metric: Metric, words: str) -> Query:
    matchers = ", ".join(f'{label}=~"${label}"' for label in (RUN, ENGINE, SCENARIO))
    text = f"last_over_time({PREFIX}{metric.name}{{{matchers}}}[{OURS_SECONDS}s])"
    return Query(text, words, _legend(metric))


def _influxql(metric: Metric, words: str) -> Query:
    counts = metric.name.endswith(("_total", "_max"))
    tags = (RUN, SCENARIO, *_legend(metric))
    text = _select(
        f'{"last" if counts else "mean"}("value")',
        PREFIX + metric.name,
        (RUN, ENGINE, SCENARIO),
        tags,
    )
    return Query(text, words, _legend(metric))


def _legend(metric: Metric) -> tuple[str, ...]:
    return (ENGINE, metric.label) if metric.label else (ENGINE,)


def _select(what: str, measurement: str, matched: tuple[str, ...], tags: tuple[str, ...]) -> str:
    matchers = " AND ".join(f'"{tag}" =~ /^${tag}$/' for tag in matched)
    by = ", ".join(f'"{tag}"' for tag in tags)
    where = f"WHERE $timeFilter AND {matchers}"
    grouped = f"GROUP BY time($__interval), {by} fill(none)"
    return f'SELECT {what} FROM "{measurement}" {where} {grouped}'  # noqa: S608 - InfluxQL


# k6 puts the name of its own scenario into `scenario`, so its series are found by run and engine.
_K6_MATCHERS = '{run=~"$run", engine=~"$engine"}'
_K6_TAGS = (RUN, ENGINE)


def _k6_promql(by: str, series: str, words: str, *more: str) -> Query:
    labels = ", ".join((RUN, ENGINE, *more))
    return Query(f"{by} by ({labels}) ({series})", words, (ENGINE, *more))


def _k6_last(name: str) -> str:
    return f"last_over_time({name}{_K6_MATCHERS}[{K6_SECONDS}s])"


def _k6_rate(name: str) -> str:
    return f"rate({name}{_K6_MATCHERS}[{K6_SECONDS}s])"


def _k6_influxql(what: str, measurement: str, words: str, *more: str) -> Query:
    tags = (*_K6_TAGS, *more)
    return Query(_select(what, measurement, _K6_TAGS, tags), words, (ENGINE, *more))


_PER_SECOND = 'sum("value") * 1000 / $__interval_ms'
_SINCE_START = "In Prometheus since the run's start: so k6 writes it. In InfluxDB of each interval."

K6 = (
    Panel(
        "k6: requests by status",
        "reqps",
        "HTTP requests of k6 a second, by status; status 0: no answer.",
        [_k6_promql("sum", _k6_rate("k6_http_reqs_total"), "", "status")],
        [_k6_influxql(_PER_SECOND, "http_reqs", "", "status")],
    ),
    Panel(
        "k6: waiting time by status",
        "s",
        f"Of HTTP requests. {_SINCE_START}",
        [
            _k6_promql("max", _k6_last(f"k6_http_req_duration_{stat}"), stat, "status")
            for stat in ("avg", "p95", "p99")
        ],
        [
            _k6_influxql(f"{what} / 1000", "http_req_duration", words, "status")
            for what, words in (
                ('mean("value")', "avg"),
                ('percentile("value", 95)', "p95"),
                ('percentile("value", 99)', "p99"),
            )
        ],
    ),
    Panel(
        "k6: a user's whole way",
        "s",
        f"From a virtual user's first request to his last answer. {_SINCE_START}",
        [
            _k6_promql("max", _k6_last(f"k6_iteration_duration_{stat}"), stat)
            for stat in ("avg", "p95")
        ],
        [
            _k6_influxql(f"{what} / 1000", "iteration_duration", words)
            for what, words in (('mean("value")', "avg"), ('percentile("value", 95)', "p95"))
        ],
    ),
    Panel(
        "k6: virtual users",
        "short",
        "At work, and prepared for it.",
        [
            _k6_promql("sum", _k6_last("k6_vus"), "at work"),
            _k6_promql("sum", _k6_last("k6_vus_max"), "prepared"),
        ],
        [
            _k6_influxql('last("value")', "vus", "at work"),
            _k6_influxql('last("value")', "vus_max", "prepared"),
        ],
    ),
    Panel(
        "k6: network",
        "binBps",
        "Bytes that k6 sent and received a second.",
        [
            _k6_promql("sum", _k6_rate("k6_data_sent_total"), "sent"),
            _k6_promql("sum", _k6_rate("k6_data_received_total"), "received"),
        ],
        [
            _k6_influxql(_PER_SECOND, "data_sent", "sent"),
            _k6_influxql(_PER_SECOND, "data_received", "received"),
        ],
    ),
)

OURS = {
    "The crowd": (
        Ours("Requests by answer", {"requests_per_second": ""}),
        Ours("Issued", {"issued_total": ""}),
    ),
    "Processes and machine": (
        Ours("CPU by role", {"process_cpu_percent": ""}),
        Ours("Memory by role", {"process_memory_bytes": ""}),
        Ours("Machine", {"machine_busy_percent": "busy", "machine_steal_percent": "stolen"}),
    ),
    "PostgreSQL": (
        Ours("Sessions", {"postgres_connections": "", "postgres_connections_max": "allowed"}),
        Ours(
            "Transactions",
            {
                "postgres_commits_per_second": "committed",
                "postgres_rollbacks_per_second": "rolled back",
            },
        ),
        Ours(
            "Lock waits and deadlocks",
            {"postgres_lock_waits": "waiting", "postgres_deadlocks_total": "deadlocks"},
        ),
    ),
    "Redis": (
        Ours("Redis memory", {"redis_memory_bytes": ""}),
        Ours("Redis commands", {"redis_commands_per_second": ""}),
    ),
    "Log": (
        Ours("Consumer lag", {"consumer_lag_records": "records", "consumer_lag_claims": "claims"}),
        Ours(
            "Broker traffic",
            {
                "broker_read_bytes_per_second": "read",
                "broker_written_bytes_per_second": "written",
            },
        ),
    ),
}


def rows() -> Iterator[tuple[str, list[Panel]]]:
    """Return the rows of the dashboards with their panels, from top to bottom."""
    for title, panels in OURS.items():
        yield title, [ours.panel() for ours in panels]
        if title == "The crowd":
            yield "k6", list(K6)
