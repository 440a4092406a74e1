"""Putting an ended campaign away, once its gate has nothing left that the rows do not have.

The gate is asked how many positions it has given; every one of them must have its row. From then
on the rows answer for the campaign, and the sweeper removes its keys from Redis.
"""

from collections.abc import Callable

from firstcome.campaigns.commands import Campaigns
from firstcome.errors import Refused
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.model import Campaign, CampaignId, CampaignState


def archive(
    campaigns: Campaigns,
    open_gate: Callable[[], GateSession],
    campaign_id: CampaignId,
    actor: str,
) -> Campaign:
    """Archive a closed campaign; repeating it is harmless.

    Raises Refused while anything of it is under way or waits for an operator, CampaignNotFound,
    DatabaseUnavailable, and GateUnavailable, since without the gate nobody knows what is under way.
    """
    campaign = campaigns.show(campaign_id)
    if campaign.state is CampaignState.ARCHIVED:
        return campaign
    return campaigns.archive(campaign, actor, position_last=_position_last(campaign, open_gate))


def _position_last(campaign: Campaign, open_gate: Callable[[], GateSession]) -> int:
    """Return the highest position that was ever given; a closed gate gives none any more."""
    if not campaign.engine.has_gate or campaign.epoch == 0:
        return 0  # a claim is its row, or there never was a gate
    with open_gate() as session:
        gate = register.read(session, campaign.campaign_id)
    if gate.epoch != campaign.epoch or gate.version < campaign.version:
        raise Refused(
            f"the gate of campaign {campaign.campaign_id} has not heard of its last change yet: "
            "nothing was changed; try again in some seconds (a sweeper has to run)"
        )
    return gate.position_last
