"""What the dashboards show of k6's own series; its two outputs differ, so both are written out."""

from tests.upkeep.panels import ENGINE, RUN, Panel, Query, select

LAST_SECONDS = 15  # as with ours, but k6 pushes every 5 s only
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


# k6 puts the name of its own scenario into `scenario`, so its series are found by run and engine.
_K6_MATCHERS = '{run=~"$run", engine=~"$engine"}'
_K6_TAGS = (RUN, ENGINE)


def _k6_promql(by: str, series: str, words: str, *more: str) -> Query:
    labels = ", ".join((RUN, ENGINE, *more))
    return Query(f"{by} by ({labels}) ({series})", words, (ENGINE, *more))


def _k6_last(name: str) -> str:
    return f"last_over_time({name}{_K6_MATCHERS}[{LAST_SECONDS}s])"


def _k6_rate(name: str) -> str:
    return f"rate({name}{_K6_MATCHERS}[{LAST_SECONDS}s])"


def _k6_influxql(what: str, measurement: str, words: str, *more: str) -> Query:
    tags = (*_K6_TAGS, *more)
    return Query(select(what, measurement, _K6_TAGS, tags), words, (ENGINE, *more))


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
