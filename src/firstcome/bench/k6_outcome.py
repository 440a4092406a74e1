"""What became of k6's crowd: every promise held against the rows, user by user. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from firstcome.bench.k6_summary import Heard, Promise
from firstcome.bench.plan import Asked
from firstcome.bench.run import Distribution, Outcome
from firstcome.bench.truth import LEFT, Row
from firstcome.bench.wrongs import wrongs
from firstcome.model import Status


def outcome_of_promises(
    asked: Asked,
    heard: Heard,
    rows: Mapping[int, Sequence[Row]],
    cpu_seconds: Mapping[str, float],
    broken: Sequence[str],
) -> Outcome:
    """Return it; `rows` by campaign in the order of the crowd, `broken` what laws have found."""
    live = {
        campaign: [row for row in each if row.status != Status.CANCELLED]
        for campaign, each in rows.items()
    }
    issued = [row for row in chain(*live.values()) if row.status == Status.ISSUED]
    final_at = max((row.final_at for row in issued), default=0.0)
    wanted = [len(range(number, heard.users, len(rows))) for number in range(len(rows))]
    expected = sum(min(asked.coupons, users) for users in wanted)
    left = max(0, expected - len(issued))
    # Who hears 503 from k6 does not ask again: his coupon may be left.
    given_up = min(left, heard.load.overloaded + heard.load.faults)
    promises = ((each.campaign_id, each.user_id, each.position) for each in heard.promises)
    found = wrongs(promises, rows, asked.coupons)
    broken = [*broken, *found.told]
    if left > given_up:
        broken.append(LEFT)
    return Outcome(
        accepted=heard.accepted,
        issued=len(issued),
        expected=expected,
        lost=found.lost,
        doubled=found.doubled,
        oversold=found.oversold,
        unsold=left - given_up,
        accepted_ms=heard.accepted_ms,
        refused_ms=heard.refused_ms,
        issued_ms=Distribution.of(_waits(heard.promises, live)),
        accepted_per_second=_rate(heard.accepted, heard.accepted_at - heard.started_at),
        persisted_per_second=_rate(len(issued), final_at - heard.started_at) or 0.0,
        final_after_seconds=round(max(0.0, final_at - heard.answered_at), 3) if issued else None,
        cpu_seconds=dict(cpu_seconds),
        redis_bytes_per_user=None,
        held=not broken,
        broken=broken,
        moved=found.moved,
        given_up=given_up,
    )


def _waits(promises: Sequence[Promise], live: Mapping[int, Sequence[Row]]) -> Iterator[float]:
    """Yield the time from the request to the row, of each promise that was kept."""
    rows = {
        (campaign, row.user_id, row.position): row.final_at
        for campaign, each in live.items()
        for row in each
        if row.status == Status.ISSUED
    }
    for each in promises:
        final_at = rows.get((each.campaign_id, each.user_id, each.position))
        if final_at is not None:
            yield final_at - each.asked_at


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 1) if seconds > 0 else None
