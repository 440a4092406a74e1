"""From what a drop found to the figures of a run. Pure."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping

from firstcome.bench.answers import (
    NUMBER,
    REFUSED,
    REPLAYED,
    REQUESTED,
    UNANSWERED,
    Answers,
)
from firstcome.bench.drop import Measured
from firstcome.bench.plan import Asked
from firstcome.bench.report import Report
from firstcome.bench.run import BUILT_IN, Distribution, Load, Outcome
from firstcome.bench.summary import asked_to_issued
from firstcome.model import Outcome as Told

OVERLOADED = frozenset(
    NUMBER[code] for code in (Told.UNAVAILABLE, Told.UNKNOWN, "TOO_MANY_REQUESTS")
)


def load_of(asked: Asked, measured: Measured) -> Load:
    """Return what the crowd sent and heard.

    A user with a key asks again after a 503: each try is a request. Waiting times are those of
    last tries, from the moment at which each was due.
    """
    answers, generator = measured.answers, measured.generator
    heard = {NUMBER[code]: count for code, count in generator.heard.items()}
    served, requests = heard.get(REQUESTED, 0), sum(heard.values())
    refused = sum(heard.get(code, 0) for code in REFUSED)
    overloaded = sum(heard.get(code, 0) for code in OVERLOADED)
    return Load(
        generator=BUILT_IN,
        seconds=round(max(answers.done, default=0.0), 3),
        requests=requests,
        served=served,
        refused=refused,
        overloaded=overloaded,
        faults=requests - served - refused - overloaded,
        http_ms=Distribution.of(_http(answers)),
        iteration_ms=Distribution.of(_iterations(asked.crowd.order(), answers)),
        requests_per_second_max=_best_second(answers.done),
        virtual_users_min=asked.connections,
        virtual_users_max=asked.connections,
        bytes_sent=generator.bytes_sent,
        bytes_received=generator.bytes_received,
    )


def outcome_of(asked: Asked, measured: Measured, report: Report) -> Outcome:
    """Return what became of the claims."""
    found = {check.rule: check.violations_count for check in report.checks}
    broken = [check.rule for check in report.checks if not check.held]
    broken += [f"{law.law} {law.title}" for law in report.laws if not law.held]
    seconds = {role: cost.seconds for role, cost in report.cpu.items() if role != "total"}
    return Outcome(
        accepted=report.accepted,
        issued=report.issued,
        expected=report.expected,
        lost=_violations(found, "everybody who was told so"),
        doubled=_violations(found, "nobody has two"),
        oversold=_violations(found, "no more than the stock"),
        unsold=max(0, report.expected - report.issued),
        accepted_ms=Distribution.of(_answered(measured.answers, frozenset({REQUESTED}))),
        refused_ms=Distribution.of(_answered(measured.answers, REFUSED)),
        issued_ms=Distribution.of(asked_to_issued(asked, measured)),
        accepted_per_second=report.accepted_per_second,
        persisted_per_second=report.persisted_per_second,
        final_after_seconds=report.final_after_seconds,
        cpu_seconds=seconds,
        redis_bytes_per_user=report.redis_bytes_per_user,
        held=report.held,
        broken=broken,
    )


def _violations(found: Mapping[str, int], rule: str) -> int:
    """Return the count of the one check whose sentence begins so."""
    [count] = [count for sentence, count in found.items() if sentence.startswith(rule)]
    return count


def _http(answers: Answers) -> Iterator[float]:
    for code, due, done in zip(answers.code, answers.due, answers.done, strict=True):
        if code != UNANSWERED:
            yield done - due


def _answered(answers: Answers, codes: frozenset[int]) -> Iterator[float]:
    """Yield times from the first due moment, replays left out."""
    for code, flags, scheduled, done in zip(
        answers.code, answers.flags, answers.scheduled, answers.done, strict=True
    ):
        if code in codes and not flags & REPLAYED:
            yield done - scheduled


def _iterations(order: "array[int]", answers: Answers) -> Iterator[float]:
    """Yield each user's time from his first request to his last answer."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for user, scheduled, done in zip(order, answers.scheduled, answers.done, strict=True):
        first.setdefault(user, scheduled)
        last[user] = max(done, last.get(user, 0.0))
    return (last[user] - first[user] for user in first)


def _best_second(done: "array[float]") -> float | None:
    seconds = Counter(int(at) for at in done)
    return float(max(seconds.values())) if seconds else None
