"""Cancel by insert: give a position up by being the first to insert its row.

Shared by everything that gives positions up: the recorder (DUPLICATE), the
compensation (NOT_APPENDED), the rebuild (HOLE). The transaction that cancels also
raises the limit and the version, so the unit is never free before it is given up.
A late event finds the row and does nothing.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from firstcome import postgres
from firstcome.model import CampaignId

QUERY = postgres.queries("issuance")["cancel"]


class Reason(StrEnum):
    """Why a row is CANCELLED."""

    NOT_APPENDED = "NOT_APPENDED"  # the log certainly did not take the claim
    DUPLICATE = "DUPLICATE"  # the user holds another position of the campaign
    HOLE = "HOLE"  # nobody knows of a claim there, and the epoch is over
    DISCARDED = "DISCARDED"  # an operator's decision


class Cancellation(NamedTuple):
    """Positions of one campaign to give up; users[i] is the user of positions[i], '' if unknown."""

    campaign_id: CampaignId
    epoch: int
    positions: Sequence[int]
    users: Sequence[str]
    reason: Reason

    def parameters(self) -> dict[str, int | str]:
        """Return what QUERY takes; its rows are the positions that it cancelled."""
        return {
            "campaign_id": self.campaign_id,
            "epoch": self.epoch,
            "positions": f"{{{','.join(map(str, self.positions))}}}",
            "users": " ".join(self.users),
            "reason": self.reason,
        }


def cancel(connection: postgres.Connection, cancellation: Cancellation) -> list[int]:
    """Cancel, within the caller's transaction, and return the positions cancelled.

    Those left out have a row already, or their epoch is over. The campaign's row
    stays locked until the transaction ends: call it last, in the order of the
    campaigns' ids, once per campaign.
    """
    if not cancellation.positions:
        return []
    with postgres.translated():
        rows = connection.execute(QUERY, cancellation.parameters()).fetchall()
    return [position for (position,) in rows]
