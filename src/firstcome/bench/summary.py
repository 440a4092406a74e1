"""From what a drop found to what its report says: counts, spreads, costs. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping

from firstcome.bench.aftermath import promised
from firstcome.bench.answers import (
    CODES,
    FAILED,
    IN_DOUBT,
    REFUSED,
    REPLAYED,
    REQUESTED,
    Answers,
)
from firstcome.bench.crowd import user_id
from firstcome.bench.drop import FINAL_SECONDS, Measured
from firstcome.bench.measure import Spread
from firstcome.bench.plan import Asked
from firstcome.bench.report import Cost, Report
from firstcome.bench.truth import Check, Truth
from firstcome.model import Status

# Redis' buffers come and go by some ten thousand bytes; fewer users drown in them.
MEMORY_ISSUANCES_MIN = 5000


def summarise(
    asked: Asked, auth: str, measured: Measured, environment: Mapping[str, str]
) -> Report:
    """Compute the report; also judges the answers, exactly and for every user."""
    crowd, answers = asked.crowd, measured.answers
    order = crowd.order()
    codes = Counter(answers.code)
    accepted = len(promised(order, answers))
    checks = Truth(crowd, answers, measured.offers).checks()
    checks.append(Check.of(f"everything final within {FINAL_SECONDS:.0f} s", _not_final(measured)))
    status = Counter(row.status for offer in measured.offers for row in offer.rows)
    issued = status[Status.ISSUED]
    final_at = [
        row.final_at - measured.started_at
        for offer in measured.offers
        for row in offer.rows
        if row.status == Status.ISSUED
    ]
    answered = max(answers.done, default=0.0)
    return Report(
        asked=asked,
        auth=auth,
        campaign_ids=[int(campaign_id) for campaign_id in measured.campaign_ids],
        started_at=measured.started_at,
        requests=len(answers),
        answers={CODES[code]: count for code, count in sorted(codes.items())},
        accepted=accepted,
        replayed=sum(flags & REPLAYED > 0 for flags in answers.flags),
        refused=sum(codes[code] for code in REFUSED),
        failed=sum(codes[code] for code in FAILED),
        asked_again=sum(tries - 1 for tries in answers.tries if tries),
        in_doubt=sum(codes[code] for code in IN_DOUBT),
        issued=issued,
        under_review=status[Status.UNDER_REVIEW],
        expected=sum(min(asked.coupons, crowd.users_of(n)) for n in range(crowd.campaigns)),
        http_accepted_ms=Spread.of(_latencies(answers, accepted=True)),
        http_refused_ms=Spread.of(_latencies(answers, accepted=False)),
        sent_late_ms=Spread.of(_late(answers)),
        issued_ms=Spread.of(asked_to_issued(asked, measured)),
        issued_by="commit" if measured.commit_times else "recorded_at",
        asked_per_second=_per_second(len(answers), _last_sent(answers)),
        accepted_per_second=_per_second(accepted, _last_accepted(answers)),
        persisted_per_second=_per_second(issued, max(final_at, default=0.0)),
        final_after_seconds=round(max(0.0, max(final_at) - answered), 3) if final_at else None,
        cpu=_costs(measured.cpu_seconds, issued, len(answers)),
        generator_us_per_request=round(
            measured.generator.cpu_seconds / max(1, sum(answers.tries)) * 1e6, 2
        ),
        redis_bytes_per_user=_bytes_per_user(measured.redis_bytes, issued),
        steal_percent=measured.steal_percent,
        others_percent=measured.others_percent,
        checks=checks,
        laws=measured.laws,
        notes=measured.notes,
        held=all(check.held for check in checks) and all(law.held for law in measured.laws),
        environment=dict(environment),
    )


def _bytes_per_user(redis_bytes: int | None, issued: int) -> float | None:
    if redis_bytes is None or issued < MEMORY_ISSUANCES_MIN:
        return None
    return round(redis_bytes / issued, 1)


def _not_final(measured: Measured) -> Iterator[str]:
    if not measured.final:
        yield "users who were promised a coupon had no ISSUED row by then"


def _latencies(answers: Answers, *, accepted: bool) -> Iterator[float]:
    """Yield scheduled-to-answered times; replays count as neither."""
    wanted = frozenset({REQUESTED}) if accepted else REFUSED
    for code, flags, scheduled, done in zip(
        answers.code, answers.flags, answers.scheduled, answers.done, strict=True
    ):
        if code in wanted and not flags & REPLAYED:
            yield done - scheduled


def _late(answers: Answers) -> Iterator[float]:
    """Yield how long after its time each request left that was sent once."""
    for tries, scheduled, sent in zip(answers.tries, answers.scheduled, answers.sent, strict=True):
        if tries == 1:
            yield sent - scheduled


def _last_sent(answers: Answers) -> float:
    """Return when the last request left that was sent once: later ones were asked to wait."""
    times = zip(answers.tries, answers.sent, strict=True)
    return max((sent for tries, sent in times if tries == 1), default=0.0)


def _last_accepted(answers: Answers) -> float:
    served = zip(answers.code, answers.done, strict=True)
    return max((done for code, done in served if code == REQUESTED), default=0.0)


def asked_to_issued(asked: Asked, measured: Measured) -> Iterator[float]:
    """Yield the time from a user's scheduled request to the commit of his row."""
    asked_at: dict[str, float] = {}
    for user, scheduled in zip(asked.crowd.order(), measured.answers.scheduled, strict=True):
        asked_at.setdefault(user_id(user), measured.started_at + scheduled)
    for offer in measured.offers:
        for row in offer.rows:
            if row.status == Status.ISSUED and row.user_id in asked_at:
                yield row.final_at - asked_at[row.user_id]


def _per_second(count: int, seconds: float) -> float | None:
    return round(count / seconds, 1) if seconds > 0 else None


def _costs(seconds: Mapping[str, float], issued: int, requests: int) -> dict[str, Cost]:
    """Return what each kind of process cost, the dearest first, and all together."""
    spent = dict(sorted(seconds.items(), key=lambda item: -item[1]))
    if spent:
        spent["total"] = sum(spent.values())
    return {
        name: Cost(
            round(used, 3),
            round(used / issued * 1e6, 2) if issued else None,
            round(used / max(1, requests) * 1e6, 2),
        )
        for name, used in spent.items()
    }
