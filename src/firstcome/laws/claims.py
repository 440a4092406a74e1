"""Laws L3 and L5 over claims: whatever log and journal know must have become a row.

A claim is settled by any row of its user at its position. Without one it is under way
while it is younger than the grace, fenced beyond the end of its epoch, set aside where a
dead letter names it, and forgotten otherwise.
"""

import time
from array import array
from collections.abc import Sequence

from firstcome.errors import BadRecord
from firstcome.eventlog import events, reader, topics
from firstcome.laws.findings import Findings
from firstcome.laws.rows import CANCELLED, NONE, CampaignRows, Snapshot
from firstcome.settings import Settings


class Claims:
    """All claims of one pass, batch by batch, against the rows."""

    def __init__(self, settings: Settings, findings: Findings) -> None:
        self._settings = settings
        self._findings = findings
        self._young_since = time.time() - settings.laws.grace_seconds
        # campaign -> first positions and times of its batches, in any order
        self._times: dict[int, tuple[array[int], array[float]]] = {}

    def check_log(
        self, snapshot: Snapshot, set_aside: set[tuple[str, int, int]], *, all_campaigns: bool
    ) -> None:
        """Read the whole topic. Raises LogUnavailable.

        `set_aside`: origins of records that have a dead letter. Without `all_campaigns` the
        records of campaigns outside the snapshot say nothing.
        """
        topic = topics.issuance_requested(self._settings.kafka)
        for record in reader.read_all(self._settings.kafka, topic):
            origin = (topic, record.partition, record.offset)
            where = f"Record {record.partition}/{record.offset} of {topic}."
            try:
                event = events.decode(record.value)
            except BadRecord as error:
                if origin not in set_aside:
                    self._findings.broken("UNREADABLE_RECORD", None, detail=f"{where} {error}")
                continue
            if event is None:
                continue
            rows = snapshot.campaigns.get(event.campaign_id)
            if rows is not None and event.epoch not in rows.fences and origin in set_aside:
                continue  # An operator sees it.
            if rows is not None:
                self.check_event(rows, event, where)
            elif all_campaigns and origin not in set_aside:
                kind = "RECORD_OF_UNKNOWN_CAMPAIGN"
                self._findings.broken(kind, event.campaign_id, detail=where)

    def check_event(self, rows: CampaignRows, event: events.IssuanceRequested, where: str) -> None:
        """Check one record of the log."""
        if event.epoch not in rows.fences:
            detail = f"{where} Epoch {event.epoch}."
            at = (rows.campaign_id, event.first_position, event.users[0])
            self._findings.broken("RECORD_OF_UNKNOWN_EPOCH", *at, detail)
            return
        self.check_batch(
            rows, event.epoch, event.first_position, event.users, event.requested_at, where
        )

    def check_batch(
        self,
        rows: CampaignRows,
        epoch: int,
        first: int,
        users: Sequence[str],
        requested_at: float,
        where: str,
    ) -> None:
        """Check one admitted batch of a known epoch; users[i] claims position first + i."""
        self._findings.checked["L3"] += len(users)
        fence = rows.fences.get(epoch)
        if fence is None or first <= fence:
            positions, times = self._times.setdefault(rows.campaign_id, (array("q"), array("d")))
            positions.append(first)
            times.append(requested_at)
        marks = array("q", map(hash, users))
        if rows.marks[first : first + len(users)] == marks:
            return
        for position, user in enumerate(users, first):
            if rows.mark_at(position) != hash(user) and not (
                fence is not None and position > fence
            ):
                self._judge(rows, position, user, requested_at, where)

    def _judge(
        self, rows: CampaignRows, position: int, user: str, requested_at: float, where: str
    ) -> None:
        status = rows.status_at(position)
        cancelled_nameless = status == CANCELLED and not rows.mark_at(position)
        if cancelled_nameless or (position, user) in rows.set_aside:
            return
        at = (rows.campaign_id, position, user)
        if status != NONE:
            self._findings.broken("RECORDED_FOR_ANOTHER", *at, where)
        elif requested_at >= self._young_since:
            rows.grow(position)
            if position < rows.size:
                rows.under_way[position] = hash(user)
        else:
            rows.forgotten.add(position)
            age = f"Requested {time.time() - requested_at:.0f} s ago. {where}"
            self._findings.broken("FORGOTTEN", *at, age)

    def check_order(self, snapshot: Snapshot) -> None:
        """L5 over the batches seen: times of request rise with positions."""
        skew = self._settings.laws.clock_skew_seconds
        for campaign_id, (positions, times) in self._times.items():
            self._findings.checked["L5"] += len(positions)
            latest = 0.0
            for index in sorted(range(len(positions)), key=positions.__getitem__):
                position, requested_at = positions[index], times[index]
                if requested_at < latest - skew:
                    user = snapshot.user_at(campaign_id, position)
                    late = f"Its batch was sent {latest - requested_at:.1f} s before a lower one."
                    at = (campaign_id, position, user)
                    self._findings.broken("REQUESTED_OUT_OF_ORDER", *at, late)
                    latest = requested_at
                latest = max(latest, requested_at)
