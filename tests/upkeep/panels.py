"""What the Grafana dashboards of deploy/grafana show, and how each panel asks its store.

One table for both stores: the panels of our samples are written once, and their queries follow
from METRICS.
"""

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
    "events": "short",
    "bytes/s": "binBps",
}
LAST_SECONDS = 5  # older points are not drawn on: the line of a run ends with it
RUN, ENGINE, SCENARIO = "run", "engine", "scenario"


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
        """Return it with its queries. Fails for metrics of different units."""
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
    text = f"last_over_time({PREFIX}{metric.name}{{{matchers}}}[{LAST_SECONDS}s])"
    return Query(text, words, _legend(metric))


def _influxql(metric: Metric, words: str) -> Query:
    counts = metric.name.endswith(("_total", "_max"))
    tags = (RUN, SCENARIO, *_legend(metric))
    text = select(
        f'{"last" if counts else "mean"}("value")',
        PREFIX + metric.name,
        (RUN, ENGINE, SCENARIO),
        tags,
    )
    return Query(text, words, _legend(metric))


def _legend(metric: Metric) -> tuple[str, ...]:
    return (ENGINE, metric.label) if metric.label else (ENGINE,)


def select(what: str, measurement: str, matched: tuple[str, ...], tags: tuple[str, ...]) -> str:
    """Return the InfluxQL of one chart, with Grafana's variables."""
    matchers = " AND ".join(f'"{tag}" =~ /^${tag}$/' for tag in matched)
    by = ", ".join(f'"{tag}"' for tag in tags)
    where = f"WHERE $timeFilter AND {matchers}"
    grouped = f"GROUP BY time($__interval), {by} fill(none)"
    return f'SELECT {what} FROM "{measurement}" {where} {grouped}'  # noqa: S608 - InfluxQL


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
            "Lock waits, deadlocks and time-outs",
            {
                "postgres_lock_waits": "waiting",
                "postgres_deadlocks_total": "deadlocks",
                "lock_timeouts_total": "timed out",
            },
        ),
    ),
    "Redis": (
        Ours("Redis memory", {"redis_memory_bytes": ""}),
        Ours("Redis commands", {"redis_commands_per_second": ""}),
    ),
    "Log": (
        Ours("Consumer lag", {"consumer_lag_records": "records", "consumer_lag_claims": "claims"}),
        Ours("Events that wait", {"events_waiting": ""}),
        Ours(
            "Broker traffic",
            {
                "broker_read_bytes_per_second": "read",
                "broker_written_bytes_per_second": "written",
            },
        ),
    ),
}
