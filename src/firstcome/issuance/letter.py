"""A dead letter as it is kept: how its row reads, and which claims it holds.

Between the table and everything that decides or publishes one; quarantine.py writes them.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from firstcome import postgres
from firstcome.errors import BadRecord
from firstcome.eventlog import events
from firstcome.eventlog.consumer import Origin
from firstcome.eventlog.events import IssuanceRequested
from firstcome.issuance.batch import Batch
from firstcome.issuance.quarantine import Reason
from firstcome.model import CampaignId, UserId


class State(StrEnum):
    """What has been decided about a letter; the last two are final."""

    QUARANTINED = "QUARANTINED"
    REDRIVEN = "REDRIVEN"
    DISCARDED = "DISCARDED"


class Letter(NamedTuple):
    """A row of dead_letters. What is None was not known, or has not happened."""

    dead_letter_id: int
    state: State
    campaign_id: CampaignId | None
    epoch: int | None
    position: int | None
    user_id: UserId | None
    attempt: int | None
    requested_at: float | None  # seconds since 1970
    topic: str | None  # None: the claim came from the gate's journal
    partition: int | None
    offset: int | None
    reason: Reason
    detail: str
    payload: bytes | None
    attempts: int
    created_at: datetime
    decided_at: datetime | None
    published_at: datetime | None

    @classmethod
    def of(cls, row: postgres.Row) -> "Letter":
        """Return what a row of sql/dead_letters.sql says."""
        letter = cls(*row)
        return letter._replace(state=State(letter.state), reason=Reason(letter.reason))

    def batch(self) -> Batch:
        """Return the claims as the log would bring them. Raises BadRecord: still undecodable."""
        event = events.decode(self.payload) if self.campaign_id is None else self._event()
        if event is None:
            raise BadRecord("an empty record holds no claim")
        return Batch(event, self._origin())

    def _event(self) -> IssuanceRequested:
        user_id = self.user_id
        if user_id is None:
            # Not a user id, so it was kept as bytes.
            user_id = UserId((self.payload or b"").decode("utf-8", "surrogatepass"))
        return IssuanceRequested(
            self.campaign_id or 0,
            self.epoch or 0,
            self.position or 0,
            [user_id],
            [self.attempt or 0],
            self.requested_at or 0.0,
        )

    def _origin(self) -> Origin | None:
        if self.topic is None or self.partition is None or self.offset is None:
            return None
        return Origin(self.topic, self.partition, self.offset)
