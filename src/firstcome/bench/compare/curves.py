"""The course of runs as charts: one line an engine, or one chart an engine with its parts.

Drawn is the typical repetition (grid.py). Seconds count from the beginning of the load; what was
not sampled leaves a gap, and a metric that nobody sampled has no chart.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from firstcome.bench.collect.samples import Sample
from firstcome.bench.columns import has_gate
from firstcome.bench.compare.blocks import Chart, Series
from firstcome.bench.compare.readings import Look, total
from firstcome.bench.run import Run


class Course(NamedTuple):
    """What one chart shows: `title` is a word, `look` reads it off a sample."""

    title: str
    unit: str
    look: Look


class Parts(NamedTuple):
    """A metric whose labels are drawn as lines, in a chart for each engine."""

    title: str
    unit: str
    metric: str


PARTS = (
    Parts("requests", "/s", "requests_per_second"),
    Parts("cpu", "", "process_cpu_percent"),
    Parts("sessions", "", "postgres_connections"),
)
COURSES = (
    Course("issued", "", total("issued_total")),
    Course("lock-waits", "", total("postgres_lock_waits")),
    Course("lag-claims", "", total("consumer_lag_claims")),
    Course("lag-records", "", total("consumer_lag_records")),
    Course("redis-memory", "MB", total("redis_memory_bytes", per=1e6)),
    Course("broker-written", "MB/s", total("broker_written_bytes_per_second", per=1e6)),
    Course("broker-read", "MB/s", total("broker_read_bytes_per_second", per=1e6)),
    Course("steal", "%", total("machine_steal_percent")),
)
_WITHOUT_GATE = {"redis-memory"}  # the stack's Redis is there, but not used


def charts(runs: Mapping[str, Run], words: Mapping[str, str]) -> Iterator[Chart]:
    """Yield the charts of one scenario and generator; `runs` by engine."""
    for parts in PARTS:
        yield from _parts(parts, runs, words)
    for course in COURSES:
        yield from _course(course, runs, words)


def _course(course: Course, runs: Mapping[str, Run], words: Mapping[str, str]) -> Iterator[Chart]:
    shown = {
        engine: found
        for engine, run in runs.items()
        if not (course.title in _WITHOUT_GATE and not has_gate(engine))
        if (found := by_second(run, course.look))
    }
    if not shown:
        return
    seconds = list(range(max(max(found) for found in shown.values()) + 1))
    series = [
        Series(engine, engine, [found.get(second) for second in seconds])
        for engine, found in shown.items()
    ]
    yield Chart(words[f"chart.{course.title}"], course.unit, seconds, series)


def _parts(parts: Parts, runs: Mapping[str, Run], words: Mapping[str, str]) -> Iterator[Chart]:
    """Yield a chart for each engine, all with the same scale."""
    found = {engine: _labelled(run, parts.metric) for engine, run in runs.items()}
    values = [value for each in found.values() for by in each.values() for value in by.values()]
    for engine, labels in found.items():
        if not labels:
            continue
        seconds = list(range(max(max(by) for by in labels.values()) + 1))
        series = [
            Series(words.get(f"label.{label}", label), label, [by.get(at) for at in seconds])
            for label, by in labels.items()
        ]
        title = words[f"chart.{parts.title}"]
        yield Chart(title, parts.unit, seconds, series, max(values), engine)


def _labelled(run: Run, metric: str) -> dict[str, dict[int, float]]:
    """Return the course of each label, the highest first."""
    labels = dict.fromkeys(label for each in run.samples for label in each.values.get(metric, ()))
    found = {label: by_second(run, total(metric, label)) for label in labels}
    return dict(sorted(found.items(), key=lambda item: -max(item[1].values(), default=0.0)))


def by_second(run: Run, look: Look) -> dict[int, float]:
    """Return what was seen, by whole seconds since the load began."""
    began = run.started_at
    found = {}
    for sample in run.samples:
        if (second := _second(sample, began)) >= 0 and (value := look(sample)) is not None:
            found[second] = float(f"{value:.4g}")
    return found


def _second(sample: Sample, began: float) -> int:
    return round(sample.at - began)
