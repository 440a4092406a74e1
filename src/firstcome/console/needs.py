"""What needs somebody now: the first thing that the pages say.

A pure rule over one look. What heals by itself is told as such, nothing is told twice, and that
nobody could be asked is told too: it is no good news. Each kind has its sentences in messages/.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from firstcome.console.overview import CampaignOverview, GateState, OverviewReport
from firstcome.console.told import Told

LAG_SECONDS = 15.0  # as the alert LagOld
NAMED_MAX = 5  # gates, and processes; of more a number is enough


class Kind(StrEnum):
    """What may need somebody, the worst first."""

    LAW = "law"  # more coupons than stock
    DATABASE = "database"
    REDIS = "redis"
    KAFKA = "kafka"
    STOPPED = "stopped"  # a recorder stands still by itself
    DRIFT = "drift"
    LAG = "lag"
    PROCESS = "process"
    GATE = "gate"  # heals by itself
    LETTERS = "letters"
    DRIFT_UNKNOWN = "drift_unknown"  # no sweeper could be asked
    STOPPED_UNKNOWN = "stopped_unknown"  # no recorder could be asked


WORST = frozenset({Kind.LAW, Kind.DATABASE, Kind.REDIS, Kind.KAFKA, Kind.STOPPED, Kind.DRIFT})


class Need(msgspec.Struct, frozen=True):
    """One thing; `count` and `names` as far as its kind has any."""

    kind: Kind
    count: int | None = None
    names: str = ""
    campaign_id: int | None = None

    @property
    def is_bad(self) -> bool:
        """Whether it hurts somebody now."""
        return self.kind in WORST


def needs_of(report: OverviewReport | None, told: Told) -> list[Need]:
    """Return what needs somebody, the worst first; report None: PostgreSQL gives no answer."""
    found = [*(_of_report(report) if report else [Need(Kind.DATABASE)]), *_of_processes(told)]
    order = list(Kind)
    return sorted(found, key=lambda each: order.index(each.kind))


def _of_report(report: OverviewReport) -> Iterator[Need]:
    for each in report.campaigns:
        if each.issued + each.under_review > each.stock:
            yield Need(Kind.LAW, names=each.name, campaign_id=each.campaign_id)
    if not report.redis_answers:
        yield Need(Kind.REDIS)
    if report.lag_records is None:
        yield Need(Kind.KAFKA)
    elif (report.lag_seconds or 0.0) >= LAG_SECONDS:
        yield Need(Kind.LAG)
    waiting = [each for each in report.campaigns if _waits_for_its_gate(each)]
    for each in waiting[:NAMED_MAX]:
        yield Need(Kind.GATE, names=each.name, campaign_id=each.campaign_id)
    if report.letters_waiting:
        yield Need(Kind.LETTERS, report.letters_waiting)


def _of_processes(told: Told) -> Iterator[Need]:
    if told.asking:
        return
    if told.recorders_stopped is None:
        yield Need(Kind.STOPPED_UNKNOWN)
    elif told.recorders_stopped:
        yield Need(Kind.STOPPED, told.recorders_stopped)
    if told.drift is None:
        yield Need(Kind.DRIFT_UNKNOWN)
    for number, kinds in (told.drift or {}).items():
        # Leaked and lost have opposite signs, and do not make each other good.
        yield Need(Kind.DRIFT, sum(map(abs, kinds.values())), campaign_id=int(number))
    away = [
        each.name
        for each in told.processes
        if each.answers is False or each.state not in (None, "ready", "stopping")
    ]
    if away:
        yield Need(Kind.PROCESS, len(away), ", ".join(away[:NAMED_MAX]))


def _waits_for_its_gate(campaign: CampaignOverview) -> bool:
    shut = campaign.gate.state in (GateState.SHUT, GateState.STALE, GateState.ABSENT)
    return shut and campaign.epoch > 0  # a new campaign's first gate comes within two seconds
