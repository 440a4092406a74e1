"""What the processes tell of themselves: who is there, how fast they answer, what they refuse.

Read from their /metrics every two seconds while somebody watches, on a thread of its own: a process
that is silent holds nothing up. Rates and answer times are those since the look before. Who there
should be says the local stack's status file; elsewhere only the addresses of console.metrics_urls.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from firstcome.console.flow import APPENDED, Flow, FlowWatch
from firstcome.console.growth import Growth, GrowthWatch, Series, quantile
from firstcome.logs import get_logger
from firstcome.metrics import catalogue, reading
from firstcome.settings import ConsoleSettings

LOOK_SECONDS = 2.0
ANSWER_SECONDS = 1.0
READERS = 4
# What is looked at; to parse the rest would cost the drop a part of a core.
WANTED = (
    *(catalogue.CLAIM.name, catalogue.DRIFT.name, catalogue.RECORDER_STOPPED.name),
    *(catalogue.SWEPT_AT.name, catalogue.APPEND_FAILURES.name, APPENDED[0]),
    *(catalogue.READ.name, catalogue.ISSUED_AFTER.name),
)
log = get_logger()


class ToldProcess(msgspec.Struct, frozen=True):
    """One process; answers null: nobody has asked it."""

    name: str
    role: str
    state: str | None = None  # by the supervisor
    restarts: int | None = None
    answers: bool | None = None  # its /metrics
    metrics_url: str | None = None


class Answers(msgspec.Struct, frozen=True):
    """Of all api processes together, since the look before."""

    p50_seconds: float | None
    p99_seconds: float | None
    by_outcome: dict[str, float]  # answers a second, by code


class Told(msgspec.Struct, frozen=True):
    """Everything; null or empty: not known. `asking`: nobody has had the time to answer yet."""

    processes: list[ToldProcess] = []
    answers: Answers | None = None
    drift: dict[str, dict[str, int]] | None = None  # campaign -> kind -> claims
    recorders_stopped: int | None = None
    flow: Flow = Flow()
    asking: bool = False


class ToldBy:
    """For one thread; `latest` may be read by any."""

    def __init__(self, settings: ConsoleSettings, is_watched: Callable[[], bool]) -> None:
        self._settings = settings
        self._is_watched = is_watched
        self.latest = Told(asking=True)
        self._growth, self._flow = GrowthWatch(), FlowWatch()

    def run(self, stop: Event) -> None:
        """Look every two seconds while somebody watches, until `stop` is set."""
        with ThreadPoolExecutor(READERS, "told") as readers:
            while not stop.wait(LOOK_SECONDS):
                if not self._is_watched():
                    self._forget()
                    continue
                try:
                    self.run_once(readers)
                except Exception:
                    # Numbers for the eye must not end the console.
                    log.exception("processes_unreadable")

    def run_once(self, readers: ThreadPoolExecutor) -> None:
        """Ask every process once."""
        processes = self._processes()
        series = readers.map(_read, [each.metrics_url for each in processes])
        told = [
            (msgspec.structs.replace(each, answers=_answered(each, found)), found or {})
            for each, found in zip(processes, series, strict=True)
        ]
        at, all_series = monotonic(), [found for _, found in told]
        growth = self._growth.read(at, {each.name: found for each, found in told})
        self.latest = Told(
            [each for each, _ in told],
            answers_in(growth),
            drift_in(all_series),
            stopped_in(all_series),
            self._flow.read(growth, at),
        )

    def _forget(self) -> None:
        """Nobody watches: what was told is old when somebody comes."""
        self.latest = Told(asking=True)
        self._growth, self._flow = GrowthWatch(), FlowWatch()

    def _processes(self) -> list[ToldProcess]:
        if self._settings.status_file is not None:
            return _of_file(self._settings.status_file)
        urls = self._settings.metrics_urls
        return [ToldProcess(url, "", metrics_url=url) for url in urls]


def answers_in(growth: Growth | None) -> Answers | None:
    """Return what api processes have answered since the look before; None: none was seen twice."""
    if growth is None or APPENDED not in growth.rates:
        return None
    buckets = growth.buckets(catalogue.CLAIM.name)
    by_outcome: dict[str, float] = {}
    for (name, labels), rate in growth.rates.items():
        if name == f"{catalogue.CLAIM.name}_count" and rate:
            outcome = dict(labels)["outcome"]
            by_outcome[outcome] = by_outcome.get(outcome, 0.0) + rate
    return Answers(quantile(buckets, 0.5), quantile(buckets, 0.99), by_outcome)


def drift_in(all_series: list[Series]) -> dict[str, dict[str, int]] | None:
    """Return what sweepers say has drifted; None: none of them has looked, as far as is known."""
    if not any(found.get((catalogue.SWEPT_AT.name, ())) for found in all_series):
        return None
    drift: dict[str, dict[str, int]] = {}
    for found in all_series:
        for (name, labels), value in found.items():
            if name == catalogue.DRIFT.name and value:
                by = dict(labels)
                drift.setdefault(by["campaign_id"], {})[by["kind"]] = int(value)
    return drift


def stopped_in(all_series: list[Series]) -> int | None:
    """Return how many recorders say that they stand still; None: no recorder answers."""
    told = [found.get((catalogue.RECORDER_STOPPED.name, ())) for found in all_series]
    known = [each for each in told if each is not None]
    return sum(each > 0 for each in known) if known else None


def _read(url: str | None) -> Series | None:
    if url is None or not url.startswith(("http://", "https://")):
        return None
    try:
        lines = reading.read(url, ANSWER_SECONDS).splitlines()
        text = "\n".join(line for line in lines if line.startswith(WANTED)) + "\n"
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    except (OSError, ValueError):
        return None


def _answered(process: ToldProcess, found: Series | None) -> bool | None:
    return None if process.metrics_url is None else found is not None


def _of_file(path: Path) -> list[ToldProcess]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [
        ToldProcess(
            name=each["name"],
            role=each["role"],
            state=each["state"],
            restarts=each["restarts"],
            metrics_url=each.get("metrics_url"),
        )
        for each in document.get("processes", [])
    ]
