"""An incident report from what a drill measured: two languages, one structure, their charts.

The structure is that of the report which this project began with: overview, cause, impact,
response, results before and after, lessons. Pure: figures and judgements are made here, once;
incident_en and incident_ko only word them, so that no sentence can say what was not measured.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from firstcome.bench.origin import Origin
from firstcome.drill.chart import Panel, Series, chart
from firstcome.drill.consumer_pause import Incident, Span

NAME = "incident-consumer-pause"
FINAL_SECONDS = 120.0  # L3: everything final so soon after the end of a longer pause than 30 s
# A p95 that is twice as long and 10 ms more has risen; less is noise on a shared machine.
ROSE_TIMES, ROSE_MS = 2.0, 10.0


class Facts(NamedTuple):
    """An incident as sentences need it: words for figures, and what may be claimed."""

    incident: Incident
    origin: Origin
    nobody_failed: bool
    nobody_lost: bool
    http_rose: bool
    in_time: bool
    catch_up_times: float  # how many times the crowd's rate was recorded at best

    @classmethod
    def of(cls, incident: Incident, origin: Origin) -> "Facts":
        """Judge."""
        before, during = incident.before.http_p95_ms or 0.0, incident.during.http_p95_ms or 0.0
        failed = incident.before.failed + incident.during.failed + incident.after.failed
        unserved = set(incident.codes) - {"REQUESTED"}
        return cls(
            incident,
            origin,
            nobody_failed=not failed and not unserved,
            nobody_lost=not incident.violations and not incident.probes_unserved,
            http_rose=during > ROSE_TIMES * before and during > before + ROSE_MS,
            in_time=incident.recovery_seconds <= FINAL_SECONDS,
            catch_up_times=incident.peak_recorded / incident.load.rate,
        )

    @property
    def began(self) -> str:
        """The minute in which the recorders stopped, UTC."""
        moment = datetime.fromtimestamp(self.incident.started_at + self.incident.paused, UTC)
        return f"{moment:%Y-%m-%d %H:%M} UTC"

    def moments(self) -> dict[str, float]:
        """Return what happened when, in seconds after the pause began; in order."""
        incident = self.incident
        found = {
            "paused": 0.0,
            "resumed": incident.pause_seconds,
            "first_row": incident.first_row - incident.paused,
            "caught_up": incident.caught_up - incident.paused,
        }
        if incident.seen_by_users is not None:
            found["seen"] = incident.seen_by_users - incident.paused
        return dict(sorted(found.items(), key=lambda moment: moment[1]))


Row = tuple[str, str, str, str]


def figures(incident: Incident) -> dict[str, Row]:
    """Return the table of results: before, during and after, by row."""
    spans = (incident.before, incident.during, incident.after)

    def row(name: str, word: str) -> Row:
        one, two, three = (word.format(_value(span, name)) for span in spans)
        return name, one, two, three

    rows = [
        row("asked_per_second", "{:,.0f}"),
        row("accepted_per_second", "{:,.0f}"),
        row("recorded_per_second", "{:,.0f}"),
        row("failed_percent", "{:.2f} %"),
        row("http_p50_ms", "{:,.1f} ms"),
        row("http_p95_ms", "{:,.1f} ms"),
        row("http_max_ms", "{:,.1f} ms"),
        row("record_wait_p95_seconds", "{:,.2f} s"),
        row("status_wait_p50_seconds", "{:,.2f} s"),
        row("status_wait_max_seconds", "{:,.2f} s"),
    ]
    return {found[0]: found for found in rows}


def _value(span: Span, name: str) -> float:
    if name.endswith("_per_second"):
        return float(getattr(span, name.removesuffix("_per_second"))) / max(span.seconds, 1e-9)
    value = getattr(span, name)
    return float("nan") if value is None else float(value)


def table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def drawing(incident: Incident, names: Mapping[str, str]) -> str:
    """Return the chart of one language; `names` words titles and lines."""
    seconds = incident.timeline.seconds
    # The last second is a part of one.
    seconds = seconds[:-1] if len(seconds) > 1 else seconds

    def series(field: str) -> Series:
        return Series(names.get(field, ""), [getattr(second, field) for second in seconds])

    panels = [
        # Recording catches up many times faster than the crowd comes.
        Panel(names["rates"], [series("accepted"), series("recorded")], 2.5 * incident.load.rate),
        Panel(names["lag"], [series("lag_claims")]),
        Panel(names["lag_in_records"], [series("lag_records")]),
        Panel(names["http"], [series("http_p95_ms")]),
        Panel(names["status"], [series("status_wait_seconds")]),
    ]
    shade = (incident.paused, incident.resumed)
    return chart(panels, shade, names["pause"], names["seconds"])
