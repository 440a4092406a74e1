"""Putting an ended campaign away, for the console's page and its API.

The same act as `firstcome campaign archive`; it needs the gate, which knows what is under way.
"""

from collections.abc import Callable
from dataclasses import dataclass

from firstcome.campaigns import Campaigns, archive
from firstcome.errors import GateUnavailable
from firstcome.gate.session import GateSession
from firstcome.model import Campaign, CampaignId


@dataclass(frozen=True)
class Archive:
    """Blocking; any thread may call."""

    campaigns: Campaigns
    open_gate: Callable[[], GateSession]

    def put_away(self, campaign_id: CampaignId, actor: str) -> Campaign:
        """Archive a closed campaign; repeating it is harmless. Raises as campaigns.archive."""
        try:
            return archive(self.campaigns, self.open_gate, campaign_id, actor)
        except GateUnavailable as error:
            # The gate is asked before anything is done.
            raise GateUnavailable(str(error), certain=True) from error
