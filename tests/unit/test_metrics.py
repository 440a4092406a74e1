"""Metrics: plain numbers on the path, Prometheus' format when somebody asks."""

import gc
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from firstcome.api import tally
from firstcome.errors import InvalidSettings
from firstcome.metrics import catalogue, endpoint
from firstcome.metrics.endpoint import expose, registry_of
from firstcome.metrics.instruments import Counter, Gauge, Histogram, Metric
from firstcome.model import Outcome
from firstcome.settings import MetricsSettings

pytestmark = pytest.mark.unit


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Metric]]:  # type: ignore[type-arg]
    """Metrics of this test alone, told by an api."""
    metrics: list[Metric] = []  # type: ignore[type-arg]
    monkeypatch.setattr(endpoint, "METRICS", metrics)
    return metrics


def samples() -> dict[tuple[str, ...], float]:
    """Return what an api tells: name and labels' values -> value."""
    text = scraped(registry_of("api"))
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.startswith("process_")
    }


def scraped(registry: Collector | CollectorRegistry) -> str:
    from prometheus_client import generate_latest

    return generate_latest(registry).decode()


def test_counters_gauges_and_histograms_are_told(own: list[Metric]) -> None:  # type: ignore[type-arg]
    counter = Counter("c_total", "Counted.", "code", by=("api",))
    gauge = Gauge("g", "Now.", by=("api",))
    histogram = Histogram("h_seconds", "Took.", by=("api",), bounds=(0.1, 1.0))
    own += [counter, gauge, histogram]
    counter.add(2, "A")
    counter.of("A").value += 1
    gauge.set(7)
    for value, times in ((0.1, 1), (0.2, 3), (5.0, 1)):
        histogram.observe(value, times=times)
    assert samples() == {
        ("c_total", "A"): 3,
        ("g",): 7,
        ("h_seconds_bucket", "0.1"): 1,
        ("h_seconds_bucket", "1.0"): 4,
        ("h_seconds_bucket", "+Inf"): 5,
        ("h_seconds_count",): 5,
        ("h_seconds_sum",): pytest.approx(5.7),
    }
    assert histogram.of().count == 5


def test_a_gauge_may_be_asked_for_and_one_that_fails_hides_no_other(own: list[Metric]) -> None:  # type: ignore[type-arg]
    asked, broken, other = (Gauge(name, "Now.", by=("api",)) for name in "abc")
    own += [asked, broken, other]
    asked.follow(lambda: 3)
    broken.follow(lambda: 1 // 0)
    other.set(5)
    assert samples() == {("a",): 3, ("c",): 5}


def test_replaced_series_are_gone(own: list[Metric]) -> None:  # type: ignore[type-arg]
    gauge = Gauge("g", "Now.", "campaign_id", by=("api",))
    own.append(gauge)
    gauge.set(1, "1")
    gauge.replace({("2",): 4})
    assert samples() == {("g", "2"): 4}


def test_labels_have_to_fit() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Counter("c_total", "Counted.", "code", by=("api",)).add(1)


def test_a_process_tells_only_what_it_can_know(own: list[Metric]) -> None:  # type: ignore[type-arg]
    own.append(Gauge("g", "Now.", by=("recorder",)))
    assert samples() == {}


def test_every_name_follows_the_rules_of_prometheus() -> None:
    names = [metric.name for metric in catalogue.METRICS]
    assert len(names) == len(set(names)) > 40
    for metric in catalogue.METRICS:
        assert metric.name.startswith("firstcome_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.roles <= set(catalogue.EVERY)
        assert metric.help.endswith(".")
        assert not {"user", "user_id"} & set(metric.labels)
    for role in catalogue.EVERY:
        assert open_metrics(registry_of(role)).endswith(b"# EOF\n")


def test_a_collection_of_garbage_is_measured() -> None:
    expose(MetricsSettings(), "api")
    before = catalogue.GC_PAUSE.of().count
    gc.collect()
    assert catalogue.GC_PAUSE.of().count > before


def test_the_port_answers_and_one_that_is_taken_is_named() -> None:
    port = expose(MetricsSettings(port=0), "recorder")
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert 'firstcome_process_info{role="recorder"' in text
    assert "process_resident_memory_bytes" in text
    with pytest.raises(InvalidSettings, match="FIRSTCOME_METRICS__PORT"):
        expose(MetricsSettings(port=port), "recorder")


def test_claims_wait_until_they_are_answered() -> None:
    before = tally.waiting()
    since = [tally.begun() for _ in range(3)]
    tally.answered(Outcome.REQUESTED, since[0])
    tally.answered(Outcome.OUT_OF_STOCK, since[1])
    assert tally.waiting() - before == 1
