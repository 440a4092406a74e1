"""The incident that this project began with, replayed: the recorders pause, lag grows, recovery.

A steady crowd comes; all recorders stand still (SIGSTOP, what a long collection of garbage
looks like from outside) and wake up again. What it did to users, and how long it took until
nothing was left of it, is computed from single answers, rows and probes.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from firstcome.bench.answers import CODES, FAILED, REFUSED, REQUESTED
from firstcome.drill.eventually import wait
from firstcome.drill.rehearsal import Load, Rehearsed, rehearse
from firstcome.drill.stage import Stage
from firstcome.drill.timeline import Timeline, between, percentile

WARM_UP_SECONDS = 5  # of the load; not counted as "before"
BEFORE_SECONDS, AFTER_SECONDS = 30.0, 40.0
RATE = 1000.0


class Span(msgspec.Struct, frozen=True):
    """One phase in numbers; a wait belongs to the phase in which it began."""

    since: float
    until: float
    asked: int
    accepted: int
    refused: int
    failed: int
    recorded: int
    http_p50_ms: float | None
    http_p95_ms: float | None
    http_max_ms: float | None
    record_wait_p95_seconds: float | None
    record_wait_max_seconds: float | None
    status_wait_p50_seconds: float | None
    status_wait_max_seconds: float | None

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.until - self.since

    @property
    def failed_percent(self) -> float:
        """Share of requests that were neither accepted nor refused."""
        return 100 * self.failed / self.asked if self.asked else 0.0


class Incident(msgspec.Struct, frozen=True):
    """What happened, in numbers. Moments in seconds after the start of the load."""

    load: Load
    started_at: float
    recorders: int
    evidence: str
    paused: float
    resumed: float
    first_row: float  # committed after the recorders woke up
    caught_up: float  # the last claim that was accepted during the pause had its row
    seen_by_users: float | None  # the last user who had asked during the pause saw ISSUED
    peak_lag_claims: int
    peak_lag_records: int | None
    peak_recorded: int  # in one second, after the pause
    calm_lag_claims: int  # the highest at the end of a second before the pause
    codes: dict[str, int]  # answers by code, the whole load
    issued: int
    probes_unserved: int  # asked during the whole load and never saw ISSUED
    before: Span
    during: Span
    after: Span
    timeline: Timeline
    violations: list[str]

    @property
    def pause_seconds(self) -> float:
        """How long the recorders stood still."""
        return self.resumed - self.paused

    @property
    def recovery_seconds(self) -> float:
        """From the recorders' return until everybody who was accepted meanwhile had a row.

        Infinite when somebody never got one.
        """
        return self.caught_up - self.resumed


class Moments(NamedTuple):
    """When the recorders stood still, in seconds after the start, and what proves it."""

    paused: float
    resumed: float
    evidence: str


def pause(
    stage: Stage, seconds: float, rate: float, seed: int, tell: Callable[[str], None]
) -> Incident:
    """Do it on a stage; takes the pause and some 90 s."""
    names = stage.names("recorder")
    moments: list[Moments] = []

    def act(started_at: float) -> None:
        wait(started_at + BEFORE_SECONDS - time.time())
        with ExitStack() as still:
            for name in names:
                still.enter_context(stage.processes.frozen(name))
            paused = time.time() - started_at
            tell(f"all recorders ({len(names)}) stand still for {seconds:g} s")
            wait(started_at + BEFORE_SECONDS + seconds - time.time())
            resumed = time.time() - started_at
        moments.append(Moments(paused, resumed, "; ".join(stage.processes.evidence[-len(names) :])))
        tell("the recorders go on")

    whole = BEFORE_SECONDS + seconds + AFTER_SECONDS
    # One coupon for everybody: whoever gets none has lost it.
    load = Load(rate, whole, round(rate * whole), seed, hang_seconds=1.0)
    return incident(rehearse(stage, load, act, tell), moments[0], len(names))


def incident(seen: Rehearsed, moments: Moments, recorders: int) -> Incident:
    """Compute the numbers. Pure."""
    timeline = Timeline.of(seen)
    paused, resumed, evidence = moments
    rows = {
        row.position: row.final_at - seen.started_at for offer in seen.offers for row in offer.rows
    }
    owed = [
        rows.get(position, float("inf"))
        for position, done, code in zip(
            seen.answers.position, seen.answers.done, seen.answers.code, strict=True
        )
        if code == REQUESTED and paused <= done < resumed
    ]
    caught_up = max([resumed, *owed])
    ended = seen.load.seconds
    codes = [CODES[code] for code in seen.answers.code]
    probed = [
        probe.issued_at - seen.started_at
        for probe in seen.probes
        if probe.issued_at and paused <= probe.answered_at - seen.started_at < resumed
    ]
    seconds = timeline.seconds
    calm = [second for second in seconds if WARM_UP_SECONDS <= second.at < int(paused)]
    later = [second for second in seconds if second.at >= int(resumed)]
    records = [second.lag_records for second in seconds if second.lag_records is not None]
    return Incident(
        load=seen.load,
        started_at=seen.started_at,
        recorders=recorders,
        evidence=evidence,
        paused=paused,
        resumed=resumed,
        first_row=min((at for at in rows.values() if at > resumed), default=float("inf")),
        caught_up=caught_up,
        seen_by_users=max(probed, default=None),
        peak_lag_claims=max(second.lag_claims for second in seconds),
        peak_lag_records=max(records, default=None),
        peak_recorded=max(second.recorded for second in later),
        calm_lag_claims=max(second.lag_claims for second in calm),
        codes={code: codes.count(code) for code in sorted(set(codes))},
        issued=len(rows),
        probes_unserved=sum(not probe.issued_at for probe in seen.probes),
        before=_span(seen, timeline, WARM_UP_SECONDS, paused),
        during=_span(seen, timeline, paused, resumed),
        after=_span(seen, timeline, min(caught_up, ended), ended),
        timeline=timeline,
        violations=seen.violations,
    )


def _span(seen: Rehearsed, timeline: Timeline, since: float, until: float) -> Span:
    answers = seen.answers
    asked = sum(since <= at < until for at in answers.scheduled)
    codes = [
        code for done, code in zip(answers.done, answers.code, strict=True) if since <= done < until
    ]
    rows = [row.final_at - seen.started_at for offer in seen.offers for row in offer.rows]
    http = between(timeline.http_ms, since, until)
    waits = between(timeline.record_waits, since, until)
    statuses = between(timeline.status_waits, since, until)
    return Span(
        since=since,
        until=until,
        asked=asked,
        accepted=sum(code == REQUESTED for code in codes),
        refused=sum(code in REFUSED for code in codes),
        failed=sum(code in FAILED for code in codes),
        recorded=sum(since <= at < until for at in rows),
        http_p50_ms=percentile(http, 50),
        http_p95_ms=percentile(http, 95),
        http_max_ms=max(http, default=None),
        record_wait_p95_seconds=percentile(waits, 95),
        record_wait_max_seconds=max(waits, default=None),
        status_wait_p50_seconds=percentile(statuses, 50),
        status_wait_max_seconds=max(statuses, default=None),
    )
