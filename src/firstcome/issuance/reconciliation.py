"""Reconciliation: gate and database compared all the time, and every drift named.

Beside the path: gate's numbers, rows and outbox -> [issuance.reconciliation] -> log lines

It heals nothing: recorder, sweeper, mirror and rebuild do. What it names is what they have left
for longer than they need, so each line means that somebody has to look:

    lost          positions that the gate gave long ago and that have no row
    leaked        units that neither a row nor the gate accounts for (negative: too many)
    unannounced   issued coupons that are neither published nor in the outbox (negative: too many)

Counts only, by campaign, and only of campaigns that have changed since they were found sound:
`firstcome verify` says which positions and users they are.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import NamedTuple

from firstcome import postgres
from firstcome.gate.register import Register
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import Campaign, CampaignId

log = get_logger()
_QUERY = postgres.queries("reconciliation")["numbers"]


class Drift(NamedTuple):
    """What does not add up in one campaign; all zero: nothing."""

    lost: int
    leaked: int
    unannounced: int


class _Mark(NamedTuple):
    """The gate's numbers at a moment."""

    at: float  # monotonic
    epoch: int
    version: int
    position_last: int


class Reconciliation:
    """For one thread."""

    def __init__(
        self,
        grace_seconds: float,
        interval_seconds: float,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`grace_seconds`: a position may be without a row for so long."""
        self._grace_seconds = grace_seconds
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._looked_at = clock()
        self._marks: dict[CampaignId, deque[_Mark]] = {}
        self._sound: dict[CampaignId, _Mark] = {}
        self.drifts: dict[CampaignId, Drift] = {}

    def run_once(
        self,
        connection: postgres.Connection,
        campaigns: Iterable[Campaign],
        gates: Mapping[CampaignId, Register],
    ) -> dict[CampaignId, Drift]:
        """Compare, if it is time; return every drift that stands. Raises DatabaseUnavailable.

        The gates must have been read before this call.
        """
        now = self._clock()
        if now - self._looked_at < self._interval_seconds:
            return self.drifts
        self._looked_at = now
        campaigns = list(campaigns)
        self._remember(campaigns, gates, now)
        due = {
            campaign.campaign_id: mark
            for campaign in campaigns
            if (mark := self._due(campaign.campaign_id, now))
        }
        if due:
            self._compare(connection, due)
        self._count()
        return self.drifts

    def _remember(
        self, campaigns: list[Campaign], gates: Mapping[CampaignId, Register], now: float
    ) -> None:
        self._marks = {
            each.campaign_id: self._marks.get(each.campaign_id, deque()) for each in campaigns
        }
        # Of an archived campaign nothing could end it; a gate that is rebuilt is looked at anew.
        self.drifts = {key: drift for key, drift in self.drifts.items() if key in self._marks}
        for each in campaigns:
            gate, marks = gates[each.campaign_id], self._marks[each.campaign_id]
            if marks and marks[-1].epoch != each.epoch:
                marks.clear()
            marks.append(_Mark(now, each.epoch, gate.version, gate.position_last))

    def _due(self, campaign_id: CampaignId, now: float) -> _Mark | None:
        """Return the youngest mark beyond the grace, unless it was found sound already."""
        marks, due = self._marks[campaign_id], None
        while marks and now - marks[0].at >= self._grace_seconds:
            due = marks.popleft()
        sound = self._sound.get(campaign_id)
        if due is None or (sound is not None and sound[1:] == due[1:]):
            return None
        return due

    def _compare(self, connection: postgres.Connection, due: dict[CampaignId, _Mark]) -> None:
        parameters = {
            "campaigns": list(due),
            "epochs": [mark.epoch for mark in due.values()],
            "lasts": [mark.position_last for mark in due.values()],
        }
        with postgres.transaction(connection):
            rows = connection.execute(_QUERY, parameters).fetchall()
        for number, *counts in rows:
            campaign_id = CampaignId(number)
            drift = Drift(*counts)
            if any(drift):
                self._sound.pop(campaign_id, None)
            else:
                self._sound[campaign_id] = due[campaign_id]
            self._tell(campaign_id, drift)

    def _count(self) -> None:
        catalogue.DRIFT.replace(
            {
                (str(campaign_id), kind): count
                for campaign_id, drift in self.drifts.items()
                for kind, count in drift._asdict().items()
            }
        )

    def _tell(self, campaign_id: CampaignId, drift: Drift) -> None:
        if any(drift):
            log.error("drift", campaign_id=campaign_id, **drift._asdict())
            self.drifts[campaign_id] = drift
        elif self.drifts.pop(campaign_id, None):
            log.info("drift_gone", campaign_id=campaign_id)
