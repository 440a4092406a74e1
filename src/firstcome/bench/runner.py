"""Runs scenarios on a fresh stack of one engine, and measures everything about each.

Generator, collectors and system share the machine: figures of different runs compare, they do
not say what the system could do alone. A stack is warmed up before the first run that counts.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from firstcome.bench.arrivals import Arrivals
from firstcome.bench.collect.answers import AnswersHeard
from firstcome.bench.collect.claims import Claims
from firstcome.bench.collect.collector import Collector, Source
from firstcome.bench.collect.database import Database
from firstcome.bench.collect.feed import Feed
from firstcome.bench.collect.gate import Redis
from firstcome.bench.collect.machine import Machine
from firstcome.bench.collect.refusals import Refusals
from firstcome.bench.collect.stores import Store
from firstcome.bench.columns import Column
from firstcome.bench.drop import Drop, Progress
from firstcome.bench.figures import load_of, outcome_of
from firstcome.bench.k6_command import Outputs
from firstcome.bench.k6_drop import K6Drop
from firstcome.bench.origin import Origin
from firstcome.bench.run import BUILT_IN, K6, Run
from firstcome.bench.scenarios import Scenario
from firstcome.bench.stack import RunningStack, settings_of, started
from firstcome.bench.summary import summarise
from firstcome.model import CampaignId

UP = ("--auth", "gateway", "--api", "1", "--recorders", "1", "--brokers", "1")
# A broker's first seconds cost several times more: the virtual machine compiles its hot code.
WARM_UP = Scenario(
    "warm-up",
    "Before the first run that counts.",
    campaigns=1,
    coupons=40_000,
    users=40_000,
    arrivals=Arrivals("rate", 200_000.0, 200_000.0),
    connections=256,
    twice=0.0,
    saturating=True,
)
WARM_UP_WITHOUT_GATE = 0.125  # there is nothing to compile, and it is slower
SATURATION_SECONDS = 8.0
CALIBRATION_STEPS = 2_000_000


class Runner:
    """One stack and its column. Blocking; `fresh` makes one."""

    def __init__(
        self,
        stack: RunningStack,
        column: Column,
        watch: Callable[[Progress], None],
        commit: str | None = None,
    ) -> None:
        """`commit`: of the code, where somebody has looked already."""
        self._stack = stack
        self._column = column
        self._watch = watch
        self._settings = settings_of(stack)
        self._origin = Origin.of(self._settings)
        self._commit = commit or self._origin.commit
        self._per_second = 0.0
        self._before: list[str] = []  # what has run on this stack

    def warm_up(self, share: float = 1.0) -> None:
        """Let a first crowd through, whose figures only say how large others have to be."""
        size = 1.0 if self._column.engine.has_gate else WARM_UP_WITHOUT_GATE
        users = max(1, round(WARM_UP.users * share * size))
        scenario = msgspec.structs.replace(WARM_UP, users=users, coupons=users)
        self._per_second = self.run(scenario, 1, 0).outcome.persisted_per_second or 0.0
        self._before = [f"warm-up {share:g}"]

    def run(
        self,
        scenario: Scenario,
        seed: int,
        repetition: int,
        stores: Sequence[Store] = (),
    ) -> Run:
        """Run one scenario with the built-in generator. Raises what a drop raises.

        `stores` get every sample at once; one that is away is named in the run's notes.
        """
        if scenario.saturating and scenario.name != WARM_UP.name:
            scenario = scenario.sized(self._per_second, SATURATION_SECONDS)
        asked = scenario.asked(self._column.engine, seed)
        at, calibration = datetime.now(UTC), calibration_ms()
        heard = AnswersHeard()
        drop = Drop(self._settings, asked, self.processes, self._watched(heard))
        sources = self._sources(heard, lambda: drop.campaign_ids)
        feed = Feed(stores, labels(at, self._column, scenario))
        with closing(feed), Collector(sources, feed.put) as collector:
            measured = drop.run()
        report = summarise(asked, self._settings.auth.mode, measured, {})
        return self._noted(
            at,
            scenario,
            (seed, repetition),
            load=load_of(asked, measured),
            outcome=outcome_of(asked, measured, report),
            calibration_ms=calibration,
            steal_percent=report.steal_percent,
            others_percent=report.others_percent,
            started_at=measured.started_at,
            samples=[each for each in collector.samples if each.at >= measured.started_at - 1],
            notes=[*report.notes, *feed.notes()],
        )

    def run_k6(
        self, scenario: Scenario, seed: int, repetition: int, stores: Sequence[Store] = ()
    ) -> Run:
        """Run one scenario with k6, whose own series go to the same stores.

        Raises Refused where k6 is not installed or has no such scenario, Unavailable.
        """
        at, calibration = datetime.now(UTC), calibration_ms()
        heard = AnswersHeard()
        outputs = k6_outputs(stores, labels(at, self._column, scenario, K6))
        drop = K6Drop(
            self._settings,
            scenario,
            self._column.engine,
            seed,
            self.processes,
            self._watched(heard),
            outputs,
        )
        feed = Feed(stores, outputs.tags)
        sources = self._sources(heard, lambda: drop.campaign_ids)
        with closing(feed), Collector(sources, feed.put) as collector:
            found = drop.run()
        return self._noted(
            at,
            scenario,
            (seed, repetition),
            load=found.load,
            outcome=found.outcome,
            calibration_ms=calibration,
            steal_percent=found.steal_percent,
            others_percent=found.others_percent,
            started_at=found.started_at,
            samples=[each for each in collector.samples if each.at >= found.started_at - 1],
            notes=[*found.notes, *feed.notes()],
        )

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the process ids of the stack by role."""
        roles: dict[str, list[int]] = {}
        for process in self._stack.processes():
            if process["pid"]:
                roles.setdefault(process["role"], []).append(process["pid"])
        return roles

    def _api_metrics(self) -> list[str]:
        """Where the api processes tell their metrics."""
        return [each["metrics_url"] for each in self._stack.processes() if each["role"] == "api"]

    def _watched(self, heard: AnswersHeard) -> Callable[[Progress], None]:
        def watch(progress: Progress) -> None:
            heard.note(progress)
            self._watch(progress)

        return watch

    def _sources(
        self, heard: AnswersHeard, campaigns: Callable[[], Sequence[CampaignId]]
    ) -> tuple[Source, ...]:
        return (
            heard,
            Claims(self._settings, self._column.engine, campaigns),
            Machine(self.processes),
            Refusals(self._api_metrics),
            Database(self._settings.postgres),
            Redis(self._settings.redis),
        )

    def _noted(
        self, at: datetime, scenario: Scenario, which: tuple[int, int], **measured: Any
    ) -> Run:
        seed, repetition = which
        setup = self._setup(scenario)
        self._before.append(scenario.name)
        return Run(
            at=f"{at:%Y-%m-%d %H:%M:%S}",
            commit=self._commit,
            environment=dict(self._origin.environment),
            setup=setup,
            engine=self._column.name,
            parts=list(self._column.parts),
            scenario=scenario.name,
            seed=seed,
            repetition=repetition,
            **measured,
        )

    def _setup(self, scenario: Scenario) -> dict[str, str]:
        """Return what has to be equal in runs that are compared."""
        figures = msgspec.to_builtins(scenario)
        if scenario.saturating:
            # An engine that issues less is asked for less: both are asked for as long.
            del figures["users"], figures["coupons"]
        return {
            "stack": " ".join(UP),
            "before": ", ".join(self._before),
            "scenario": msgspec.json.encode(figures, order="sorted").decode(),
        }


def labels(
    at: datetime, column: Column, scenario: Scenario, generator: str = BUILT_IN
) -> dict[str, str]:
    """Return what a run's series are known by; names of runs sort by time."""
    return {
        "run": f"{at:%Y%m%d-%H%M%S}-{column.name}-{scenario.name}-{generator}",
        "engine": column.name,
        "scenario": scenario.name,
    }


def k6_outputs(stores: Sequence[Store], tags: dict[str, str]) -> Outputs:
    """Return what makes k6 write to the same servers."""
    urls = dict(store.k6_output for store in stores)
    return Outputs(urls.get("prometheus", ""), urls.get("influxdb", ""), tags)


@contextmanager
def fresh(
    column: Column, watch: Callable[[Progress], None], commit: str | None = None
) -> Iterator[Runner]:
    """Start a stack for a column, lend its runner, and remove it with all its data."""
    with tempfile.TemporaryDirectory(prefix="firstcome-bench-") as folder:
        watch(Progress(f"starting a stack for {column.name}"))
        with started(Path(folder) / "stack", *UP, **column.settings) as stack:
            yield Runner(stack, column, watch, commit)


def calibration_ms() -> float:
    """Return how long a fixed piece of work takes on one core just now, in milliseconds."""
    began, total = time.perf_counter(), 0
    for step in range(CALIBRATION_STEPS):
        total += step
    return round((time.perf_counter() - began) * 1000, 1)
