"""A rehearsal second by second: what was asked, accepted and recorded, and how long people waited.

Pure. Every figure comes from single answers, rows and probes; nothing is estimated. A second
is counted from the start of the load; a wait belongs to the second in which it began.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec

from firstcome.bench.answers import REFUSED, REQUESTED
from firstcome.drill.rehearsal import Rehearsed


class Second(msgspec.Struct):
    """One second. Empty measurements are None: nobody asked, or nobody could see."""

    at: int
    asked: int = 0
    accepted: int = 0
    refused: int = 0  # answered no, as it should be: sold out, duplicate
    failed: int = 0  # neither accepted nor refused: 503, no answer
    recorded: int = 0  # rows committed
    lag_claims: int = 0  # accepted and not yet recorded, at the end of the second
    lag_records: int | None = None  # as the broker tells it
    http_p95_ms: float | None = None
    status_wait_seconds: float | None = None  # from the 202 until a user saw ISSUED, the longest


class Timeline(msgspec.Struct, frozen=True):
    """Seconds in order, and every single wait, for percentiles over any span."""

    seconds: list[Second]
    http_ms: list[tuple[float, float]]  # asked at, waited; of every answer
    record_waits: list[tuple[float, float]]  # answered at, until the row was committed
    status_waits: list[tuple[float, float]]  # answered at, until a user saw ISSUED

    @classmethod
    def of(cls, seen: Rehearsed) -> "Timeline":
        """Compute it."""
        answers = seen.answers
        committed = {
            row.position: row.final_at - seen.started_at
            for offer in seen.offers
            for row in offer.rows
        }
        http_ms = sorted(
            (scheduled, (done - scheduled) * 1000)
            for scheduled, done in zip(answers.scheduled, answers.done, strict=True)
        )
        record_waits = sorted(
            (done, max(0.0, committed[position] - done))
            for position, done, code in zip(
                answers.position, answers.done, answers.code, strict=True
            )
            if code == REQUESTED and position in committed
        )
        status_waits = sorted(
            (probe.answered_at - seen.started_at, probe.issued_at - probe.answered_at)
            for probe in seen.probes
            if probe.issued_at
        )
        seconds = _counted(seen, list(committed.values()))
        for second in seconds:
            until = second.at + 1
            second.http_p95_ms = percentile(between(http_ms, second.at, until), 95)
            second.status_wait_seconds = max(between(status_waits, second.at, until), default=None)
        return cls(seconds, http_ms, record_waits, status_waits)


def between(waits: Sequence[tuple[float, float]], since: float, until: float) -> list[float]:
    """Return the waits that began in a span; `waits` in order."""
    first, last = (bisect_right(waits, (moment, -1.0)) for moment in (since, until))
    return [wait for _, wait in waits[first:last]]


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the value that so many percent do not exceed; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _counted(seen: Rehearsed, committed: list[float]) -> list[Second]:
    answers = seen.answers
    last = max([*answers.done, *committed], default=0.0)
    seconds = [Second(at) for at in range(int(last) + 1)]
    for scheduled, done, code in zip(answers.scheduled, answers.done, answers.code, strict=True):
        seconds[int(scheduled)].asked += 1
        second = seconds[int(done)]
        if code == REQUESTED:
            second.accepted += 1
        elif code in REFUSED:
            second.refused += 1
        else:
            second.failed += 1
    for at in committed:
        seconds[max(0, int(at))].recorded += 1
    behind = accumulate(second.accepted - second.recorded for second in seconds)
    for second, lag in zip(seconds, behind, strict=True):
        second.lag_claims = max(0, lag)
    for at, records in seen.lag:
        index = int(at - seen.started_at)
        if 0 <= index < len(seconds):
            seconds[index].lag_records = max(records, seconds[index].lag_records or 0)
    return seconds
