"""What is promised when an engine is away, held against every single answer and row.

Pure. Nothing here is a mean: one answer that is not as promised breaks its line. An engine has
returned when it answers.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from firstcome.bench.answers import CODES, DUPLICATE, NUMBER, REQUESTED, TOLD_TO_RETRY
from firstcome.drill.rehearsal import Rehearsed
from firstcome.model import Outcome, Status

AWAY_SECONDS = 2.5  # after the kill: from then on every answer is a 503
BACK_SECONDS = 5.0  # after the return: from then on every claim is accepted
ISSUED_SECONDS = 20.0  # after PostgreSQL's return: everything accepted meanwhile is a row
UNSERVED = frozenset({NUMBER[Outcome.UNAVAILABLE], NUMBER[Outcome.UNKNOWN]})  # both are a 503
CALM_SECONDS = 5.0  # before a fault: the rate that it hits
RATE_SHARE_MIN = 0.9  # of the rate asked for, accepted in the calm


class Line(msgspec.Struct, frozen=True):
    """One promise."""

    promise: str
    held: bool
    seen: str


class Heard(NamedTuple):
    """One answer, seconds after the start."""

    sent: float
    done: float
    code: int
    told_to_retry: bool


def judge_kafka(seen: Rehearsed, moments: Mapping[str, float], deadline: float) -> list[Line]:
    """Hold what was seen against what is promised. Pure; `deadline` is D."""
    heard = _heard(seen)
    return [
        _calm(heard, moments["killed"], seen.load.rate),
        *_refused_while_away(heard, moments, deadline),
        _back(heard, moments),
        _lawful(seen),
    ]


def judge_postgres(seen: Rehearsed, moments: Mapping[str, float]) -> list[Line]:
    """Hold what was seen against what is promised. Pure."""
    heard = _heard(seen)
    return [
        _calm(heard, moments["killed"], seen.load.rate),
        _accepted_while_away(heard, moments),
        _issued_after(seen, moments),
        _lawful(seen),
    ]


def judge_redis(seen: Rehearsed, moments: Mapping[str, float]) -> list[Line]:
    """Hold what was seen against what is promised. Pure."""
    calm = _calm(_heard(seen), moments["killed"], seen.load.rate)
    return [calm, _resumed(seen, moments), _lawful(seen)]


def _calm(heard: list[Heard], until: float, rate: float) -> Line:
    calm = min(CALM_SECONDS, until)
    served = sum(one.code in (REQUESTED, DUPLICATE) for one in _done(heard, until - calm, until))
    return Line(
        f"the crowd is served before the fault, at {rate:,.0f} requests a second",
        served >= RATE_SHARE_MIN * rate * calm,
        f"{served / calm:,.0f} a second in the {calm:.0f} s before it",
    )


def _refused_while_away(
    heard: list[Heard], moments: Mapping[str, float], deadline: float
) -> Iterator[Line]:
    since, until = moments["killed"] + AWAY_SECONDS, moments["started again"]
    away = list(_done(heard, since, until))
    strange = [one for one in away if one.code not in UNSERVED or not one.told_to_retry]
    yield Line(
        f"from {AWAY_SECONDS} s after the kill every answer is a 503 with Retry-After",
        bool(away) and not strange,
        f"{len(away):,} answers, {len(strange)} of them otherwise"
        + (f", the first: {CODES[strange[0].code]} at {strange[0].done:.3f} s" if strange else ""),
    )
    waits = sorted((one.done - one.sent for one in heard), reverse=True)
    during = max((one.done - one.sent for one in _done(heard, since, until)), default=0.0)
    yield Line(
        f"no claim waits longer than D ({deadline:g} s)",
        waits[0] <= deadline,
        f"the longest of {len(waits):,}: {waits[0]:.3f} s; "
        f"from {AWAY_SECONDS} s after the kill: {during:.3f} s",
    )


def _back(heard: list[Heard], moments: Mapping[str, float]) -> Line:
    started, returned = moments["started again"], moments["answers again"]
    served = [one.done for one in heard if one.code == REQUESTED and one.done > started]
    unserved = [one.done for one in heard if one.code in UNSERVED and one.done > started]
    first, last = min(served, default=float("inf")), max(unserved, default=started)
    return Line(
        f"accepting resumes within {BACK_SECONDS:.0f} s of the broker's return",
        max(first, last) - returned <= BACK_SECONDS,
        f"first 202 {first - returned:.2f} s, last 503 {last - returned:.2f} s after it answered "
        f"again; {first - started:.1f} s and {last - started:.1f} s after its process was started",
    )


def _accepted_while_away(heard: list[Heard], moments: Mapping[str, float]) -> Line:
    killed_at, until = moments["killed"], moments["answers again"]
    away = [one for one in heard if one.done >= killed_at and one.sent <= until]
    strange = [one for one in away if one.code not in (REQUESTED, DUPLICATE)]
    accepted = sum(one.code == REQUESTED for one in away)
    longest = max((one.done - one.sent for one in away), default=0.0)
    return Line(
        "claims keep being accepted",
        accepted > 0 and not strange,
        f"{accepted:,} accepted of {len(away):,} asked between the kill and the return, "
        f"{len(strange)} otherwise than accepted or duplicate"
        + (f", the first: {CODES[strange[0].code]} at {strange[0].done:.3f} s" if strange else "")
        + f"; the longest wait {longest:.3f} s",
    )


def _issued_after(seen: Rehearsed, moments: Mapping[str, float]) -> Line:
    started, returned = moments["started again"], moments["answers again"]
    done = {
        position: done
        for position, done, code in zip(
            seen.answers.position, seen.answers.done, seen.answers.code, strict=True
        )
        if code == REQUESTED
    }
    rows = {
        row.position: row.final_at - seen.started_at
        for offer in seen.offers
        for row in offer.rows
        if row.status == Status.ISSUED
    }
    owed = [position for position, at in done.items() if at <= returned]
    late = max((rows.get(position, float("inf")) for position in owed), default=float("inf"))
    waiting = sum(rows.get(position, float("inf")) > returned for position in owed)
    return Line(
        f"all of them are ISSUED within {ISSUED_SECONDS:.0f} s of PostgreSQL's return",
        late - returned <= ISSUED_SECONDS,
        f"{waiting:,} claims were waiting; the last row was committed {late - returned:.1f} s "
        f"after it answered again, {late - started:.1f} s after its process was started",
    )


def _resumed(seen: Rehearsed, moments: Mapping[str, float]) -> Line:
    # Before that an admission may be one of the old Redis, in the instant before its end.
    wiped, returned = moments["killed"], moments["answers again"]
    answers = seen.answers
    first = min(
        (
            done
            for sent, done, code in zip(answers.sent, answers.done, answers.code, strict=True)
            if code == REQUESTED and sent > returned
        ),
        default=float("inf"),
    )
    asked_after = {
        position
        for sent, position, code in zip(answers.sent, answers.position, answers.code, strict=True)
        if code == REQUESTED and sent > returned
    }
    row = min(
        (
            row.final_at - seen.started_at
            for offer in seen.offers
            for row in offer.rows
            if row.position in asked_after
        ),
        default=float("inf"),
    )
    return Line(
        "issuing resumes by itself",
        max(first, row) < float("inf"),
        f"first 202 {first - wiped:.1f} s after the wipe, its row {row - wiped:.1f} s after it",
    )


def _lawful(seen: Rehearsed) -> Line:
    accepted = sum(code == REQUESTED for code in seen.answers.code)
    rows = sum(row.status == Status.ISSUED for offer in seen.offers for row in offer.rows)
    told = f"{accepted:,} accepted, {rows:,} issued of {seen.load.coupons:,} coupons"
    return Line(
        "no accepted claim is lost, no law is broken",
        not seen.violations,
        "; ".join([told, *seen.violations[:5]]),
    )


def _heard(seen: Rehearsed) -> list[Heard]:
    answers = seen.answers
    return [
        Heard(sent, done, code, bool(flags & TOLD_TO_RETRY))
        for sent, done, code, flags in zip(
            answers.sent, answers.done, answers.code, answers.flags, strict=True
        )
    ]


def _done(heard: Iterable[Heard], since: float, until: float) -> Iterator[Heard]:
    return (one for one in heard if since <= one.done < until)
