"""From what a drop found to the figures of a run. Pure."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

from firstcome.bench.answers import (
    CONNECTION_LOST,
    NOT_SENT,
    NUMBER,
    OUT_OF_STOCK,
    OVERLOADED,
    REFUSED,
    REPLAYED,
    REQUESTED,
    TIMED_OUT,
    UNANSWERED,
    Answers,
)
from firstcome.bench.crowd import user_id
from firstcome.bench.drop import Measured
from firstcome.bench.plan import Asked
from firstcome.bench.report import Report
from firstcome.bench.run import BUILT_IN, Distribution, Load, Outcome
from firstcome.bench.summary import asked_to_issued
from firstcome.bench.truth import LEFT, Row
from firstcome.bench.wrongs import wrongs
from firstcome.model import Status

UNHEARD = frozenset((UNANSWERED, NOT_SENT, CONNECTION_LOST, TIMED_OUT))


def load_of(asked: Asked, measured: Measured) -> Load:
    """Return what the crowd sent and heard.

    A user with a key asks again after a 503: each try is a request. Waiting times are those of
    last tries, from the moment at which each was due.
    """
    answers, generator = measured.answers, measured.generator
    heard = {NUMBER[code]: count for code, count in generator.heard.items()}
    served, requests = heard.get(REQUESTED, 0), sum(heard.values())
    refused = sum(heard.get(code, 0) for code in REFUSED)
    unanswered = sum(heard.get(code, 0) for code in UNHEARD)
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
        requests_per_second_max=_best_second(answers),
        virtual_users_min=asked.connections,
        virtual_users_max=asked.connections,
        bytes_sent=generator.bytes_sent,
        bytes_received=generator.bytes_received,
        unanswered=unanswered,
    )


def outcome_of(asked: Asked, measured: Measured, report: Report) -> Outcome:
    """Return what became of the claims."""
    found = wrongs(_promises(asked, measured), _rows(measured), asked.coupons)
    left = max(0, report.expected - report.issued)
    given_up = _given_up(asked, measured)
    # Who gave up was too slow a service's loss, which is told; it breaks no promise.
    excused = {LEFT} if left == given_up else set()
    broken = [each.rule for each in report.checks if not each.held and each.rule not in excused]
    broken += [f"{law.law} {law.title}" for law in report.laws if not law.held]
    seconds = {role: cost.seconds for role, cost in report.cpu.items() if role != "total"}
    return Outcome(
        accepted=report.accepted,
        issued=report.issued,
        expected=report.expected,
        lost=found.lost,
        doubled=found.doubled,
        oversold=found.oversold,
        unsold=left - given_up,
        accepted_ms=Distribution.of(_answered(measured.answers, frozenset({REQUESTED}))),
        refused_ms=Distribution.of(_answered(measured.answers, REFUSED)),
        issued_ms=Distribution.of(asked_to_issued(asked, measured)),
        accepted_per_second=report.accepted_per_second,
        # Nothing at all is a rate too, where somebody had asked.
        persisted_per_second=report.persisted_per_second or 0.0,
        final_after_seconds=report.final_after_seconds,
        cpu_seconds=seconds,
        redis_bytes_per_user=report.redis_bytes_per_user,
        held=not broken,
        broken=broken,
        moved=found.moved,
        given_up=given_up,
    )


def _given_up(asked: Asked, measured: Measured) -> int:
    """Return how many coupons are left because whoever asked had given up before an answer.

    None of a campaign that told anybody that it is sold out: there, somebody wanted them.
    """
    crowd, decided, sold_out = asked.crowd, set[int](), set[int]()
    for user, code in zip(crowd.order(), measured.answers.code, strict=True):
        if code == REQUESTED or code in REFUSED:
            decided.add(user)
        if code == OUT_OF_STOCK:
            sold_out.add(crowd.campaign_of(user))
    undecided = Counter(crowd.campaign_of(user) for user in {*crowd.order()} - decided)
    given_up = 0
    for index, offer in enumerate(measured.offers):
        issued = sum(row.status == Status.ISSUED for row in offer.rows)
        left = max(0, min(offer.stock, crowd.users_of(index)) - issued)
        given_up += 0 if index in sold_out else min(left, undecided[index])
    return given_up


def _promises(asked: Asked, measured: Measured) -> Iterator[tuple[int, str, int]]:
    """Yield (campaign, user, position) of everybody who was promised a coupon, once."""
    answers, seen = measured.answers, set[int]()
    for request, user in enumerate(asked.crowd.order()):
        if answers.code[request] == REQUESTED and user not in seen:
            seen.add(user)
            yield asked.crowd.campaign_of(user), user_id(user), answers.position[request]


def _rows(measured: Measured) -> dict[int, Sequence[Row]]:
    return {number: offer.rows for number, offer in enumerate(measured.offers)}


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


def _best_second(answers: Answers) -> float | None:
    """Return the most answers of one second; who gave up has none."""
    heard = zip(answers.done, answers.code, strict=True)
    seconds = Counter(int(at) for at, code in heard if code not in UNHEARD)
    return float(max(seconds.values())) if seconds else None
