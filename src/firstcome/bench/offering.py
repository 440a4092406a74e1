"""The campaigns of a drop, made as an operator would make them, or by one."""

from datetime import UTC, datetime

from firstcome import postgres
from firstcome.bench.plan import Asked
from firstcome.campaigns import Campaigns
from firstcome.errors import Refused
from firstcome.model import Campaign, CampaignId, CampaignState, Engine
from firstcome.settings import Settings


def fresh(campaigns: Campaigns, campaign_id: CampaignId) -> Campaign:
    """Return a campaign that a drop can be judged on: open now, and asked by nobody yet.

    Raises Refused, CampaignNotFound, DatabaseUnavailable.
    """
    campaign = campaigns.show(campaign_id)
    now = datetime.now(UTC)
    opens_at, closes_at = campaign.opens_at or now, campaign.closes_at
    is_open = campaign.state is CampaignState.OPEN and opens_at <= now
    if not is_open or (closes_at is not None and closes_at <= now):
        raise Refused(
            f"campaign {campaign_id} does not admit anybody now: nobody was sent; "
            f"`firstcome campaign show {campaign_id}` says why"
        )
    if campaigns.counts(campaign_id).position_last > 0:
        raise Refused(
            f"campaign {campaign_id} has given coupons already, so a drop could not be judged: "
            "nobody was sent; make a new campaign"
        )
    return campaign


def offer(settings: Settings, asked: Asked, opens_at: float | None) -> list[CampaignId]:
    """Create them, unless one is named; `opens_at` in seconds since 1970, None: open at once.

    Raises DatabaseUnavailable.
    """
    if asked.campaign_id is not None:
        return [CampaignId(asked.campaign_id)]
    campaigns = Campaigns(lambda: postgres.connect(settings.postgres))
    return [
        campaigns.create(
            name=f"drop of {datetime.now(UTC):%Y-%m-%d %H:%M:%S}, {number + 1}",
            stock=asked.coupons,
            opens_at=None if opens_at is None else datetime.fromtimestamp(opens_at, UTC),
            closes_at=None,
            engine=Engine(asked.engine),
            actor="drop",
        ).campaign_id
        for number in range(asked.crowd.campaigns)
    ]
