"""What a drop found: one document, and the same numbers as text for people.

The document is what `firstcome drop --json` prints and what the speed tables are
made from: fields are added, never renamed. Times are milliseconds.
"""

from collections.abc import Iterator

import msgspec

from firstcome.bench.measure import OTHERS_PERCENT_MAX, STEAL_PERCENT_MAX, Spread
from firstcome.bench.plan import Asked
from firstcome.bench.truth import Check


class LawHeld(msgspec.Struct, frozen=True):
    """One law of the product, as its own check found it."""

    law: str
    title: str
    held: bool
    violations_count: int
    violations: list[str]


class Cost(msgspec.Struct, frozen=True):
    """CPU time of one kind of process, from the start until everything was final."""

    seconds: float
    us_per_issuance: float | None
    us_per_request: float


class Report(msgspec.Struct, frozen=True):
    """Everything that a drop measured and checked."""

    asked: Asked
    auth: str
    campaign_ids: list[int]
    started_at: float
    requests: int
    answers: dict[str, int]  # requests by final code
    accepted: int  # users who were promised a coupon
    replayed: int
    refused: int
    failed: int
    asked_again: int
    in_doubt: int
    issued: int
    under_review: int
    expected: int
    http_accepted_ms: Spread
    http_refused_ms: Spread
    sent_late_ms: Spread
    issued_ms: Spread
    issued_by: str  # commit or recorded_at: which time ends asked-to-ISSUED
    asked_per_second: float | None
    accepted_per_second: float | None
    persisted_per_second: float | None
    final_after_seconds: float | None  # from the last answer until every promise was a row
    cpu: dict[str, Cost]
    generator_us_per_request: float
    redis_bytes_per_user: float | None  # None: too few issuances to tell
    steal_percent: float | None
    others_percent: float | None  # CPU time of what is neither the stack nor the generator
    checks: list[Check]
    laws: list[LawHeld]
    notes: list[str]
    held: bool
    environment: dict[str, str]

    @property
    def disturbances(self) -> list[str]:
        """Who took so much of the machine that the figures say little."""
        shares = (
            ("the hypervisor", self.steal_percent, STEAL_PERCENT_MAX),
            ("other processes", self.others_percent, OTHERS_PERCENT_MAX),
        )
        return [name for name, share, most in shares if share is not None and share > most]


def document(report: Report) -> bytes:
    """Return the report as one JSON document."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def text(report: Report) -> str:
    """Return the report for people: compact, aligned, laws last."""
    blocks = (_head(report), _answers(report), _times(report), _cpu(report), _verdicts(report))
    return "\n\n".join("\n".join(block) for block in blocks)


def _head(report: Report) -> Iterator[str]:
    asked = report.asked
    crowd = asked.crowd
    arrivals = asked.arrivals
    shape = {
        "burst": "all at one instant",
        "ramp": f"{arrivals.rate_first:,.0f} to {arrivals.rate_last:,.0f} requests/s",
        "rate": f"{arrivals.rate_first:,.0f} requests/s",
    }[arrivals.shape]
    yield (
        f"{crowd.users:,} users · {crowd.campaigns} x {asked.coupons:,} coupons · {shape} · "
        f"{asked.connections} connections · {asked.engine} · {report.auth}"
    )
    ids = report.campaign_ids
    spread = f"{ids[0]}" if len(ids) == 1 else f"{ids[0]} to {ids[-1]}"
    shares = f"{crowd.twice:.0%} twice · {crowd.keyed:.0%} keyed"
    yield f"campaign {spread} · {shares} · seed {crowd.seed}"


def _answers(report: Report) -> Iterator[str]:
    yield f"requests   {report.requests:>10,}   {_rate(report.asked_per_second)}"
    yield (
        f"accepted   {report.accepted:>10,}   {_rate(report.accepted_per_second)}"
        f"   and {report.replayed:,} replays"
    )
    yield f"issued     {report.issued:>10,}   {_rate(report.persisted_per_second)}" + (
        f"   of {report.expected:,} expected"
    )
    yield f"refused    {report.refused:>10,}   {_by_code(report, report.refused > 0)}".rstrip()
    yield f"failed     {report.failed:>10,}   " + (
        f"{report.asked_again:,} asked again · {report.in_doubt:,} left in doubt"
    )
    if report.under_review:
        yield f"review     {report.under_review:>10,}   firstcome dead-letters list"


def _rate(rate: float | None) -> str:
    return f"{'-' if rate is None else format(round(rate), ','):>8}/s"


def _by_code(report: Report, some: bool) -> str:
    others = ((code, n) for code, n in report.answers.items() if code != "REQUESTED")
    return " · ".join(f"{n:,} {code}" for code, n in others) if some or report.failed else ""


def _times(report: Report) -> Iterator[str]:
    yield f"{'milliseconds':<18}{'p50':>10}{'p95':>10}{'p99':>10}{'max':>10}"
    for name, spread in (
        ("HTTP accepted", report.http_accepted_ms),
        ("HTTP refused", report.http_refused_ms),
        ("asked to ISSUED", report.issued_ms),
        ("sent late", report.sent_late_ms),
    ):
        values = (spread.p50, spread.p95, spread.p99, spread.max)
        yield f"{name:<18}" + "".join(
            f"{'-' if value is None else format(value, ',.1f'):>10}" for value in values
        )
    if report.issued_by == "recorded_at":
        yield "ISSUED by recorded_at: the database keeps no commit times (track_commit_timestamp)"


def _cpu(report: Report) -> Iterator[str]:
    yield f"{'CPU':<18}{'seconds':>10}{'us/issued':>10}{'us/asked':>10}"
    for name, cost in report.cpu.items():
        issued = "-" if cost.us_per_issuance is None else f"{cost.us_per_issuance:,.1f}"
        yield f"{name:<18}{cost.seconds:>10.2f}{issued:>10}{cost.us_per_request:>10,.1f}"
    if not report.cpu:
        yield "unknown: no running stack names its processes"
    yield f"{'generator':<18}{'':>20}{report.generator_us_per_request:>10,.1f}"
    memory = report.redis_bytes_per_user
    yield (
        f"Redis {'-' if memory is None else format(memory, '.1f')} bytes a user · "
        f"steal {_share(report.steal_percent)} · other processes {_share(report.others_percent)}"
    )
    if report.disturbances:
        yield f"disturbed by {' and '.join(report.disturbances)}: these figures say little"


def _share(percent: float | None) -> str:
    return "unknown" if percent is None else f"{percent:.1f} %"


def _verdicts(report: Report) -> Iterator[str]:
    for note in report.notes:
        yield f"note: {note}"
    for check in report.checks:
        yield f"{_mark(check.held)}  {check.rule}"
        yield from _violations(check.violations, check.violations_count)
    for law in report.laws:
        yield f"{_mark(law.held)}  {law.law} {law.title}"
        yield from _violations(law.violations, law.violations_count)
    yield ""
    yield "everything held" if report.held else "NOT everything held: see `broken` above"


def _mark(held: bool) -> str:
    return "held  " if held else "broken"


def _violations(shown: list[str], count: int) -> Iterator[str]:
    for violation in shown:
        yield f"          {violation}"
    if count > len(shown):
        yield f"          and {count - len(shown):,} more"
