"""The port on which a process tells its metrics, in Prometheus' format.

On a thread of its own, so that a process whose work stands still can still be asked. The format,
and what the operating system and the interpreter know of a process, are prometheus-client's.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from firstcome.errors import InvalidSettings
from firstcome.logs import get_logger
from firstcome.metrics import pauses
from firstcome.metrics.catalogue import INFO, METRICS
from firstcome.metrics.instruments import Distribution, Metric, Number
from firstcome.settings import MetricsSettings

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_FAMILIES: Mapping[str, type[CounterMetricFamily | GaugeMetricFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}
log = get_logger()


def expose(settings: MetricsSettings, role: str) -> int | None:
    """Tell this process' metrics from now on; return the port, None when none is set.

    Raises InvalidSettings for a port that cannot be had.
    """
    pauses.watch_collector()
    INFO.set(1, role, version("firstcome"))
    if settings.port is None:
        return None
    try:
        server, _ = start_http_server(settings.port, settings.host, registry_of(role))
    except OSError as error:
        raise InvalidSettings(
            f"metrics.host and metrics.port: {settings.host}:{settings.port} cannot be bound "
            f"({error}); set FIRSTCOME_METRICS__PORT to a free port, each process its own"
        ) from error
    return int(server.server_port)


def registry_of(role: str) -> CollectorRegistry:
    """Return everything that a process of this role tells."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Own(role))
    ProcessCollector(registry=registry)
    return registry


class _Own(Collector):
    """Our metrics as prometheus-client wants them, read when it asks."""

    def __init__(self, role: str) -> None:
        self._metrics = [metric for metric in METRICS if role in metric.roles]

    def collect(self) -> Iterator[Family]:
        for metric in self._metrics:
            try:
                yield _family(metric)
            except Exception:
                # One number that cannot be had hides none of the others.
                log.exception("metric_unreadable", metric=metric.name)


def _family(metric: Metric) -> Family:  # type: ignore[type-arg]
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for values, series in list(metric.series.items()):
            histogram.add_metric(values, _buckets(series), series.sum)
        return histogram
    family = _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
    for values, series in list(metric.series.items()):
        family.add_metric(values, _value(series))
    return family


def _value(series: Number) -> float:
    return float(series.now())


def _buckets(series: Distribution) -> list[tuple[str, float]]:
    """Return how many values lay at or below each bound; Prometheus counts cumulatively."""
    found, below = [], 0
    for bound, count in zip((*map(str, series.bounds), "+Inf"), series.counts, strict=True):
        below += count
        found.append((bound, float(below)))
    return found
