"""The campaigns of a drop, made as an operator would make them."""

from datetime import UTC, datetime

from firstcome import postgres
from firstcome.bench.plan import Asked
from firstcome.campaigns import Campaigns
from firstcome.model import CampaignId, Engine
from firstcome.settings import Settings


def offer(settings: Settings, asked: Asked, opens_at: float | None) -> list[CampaignId]:
    """Create them; `opens_at` in seconds since 1970, None: open at once.

    Raises DatabaseUnavailable.
    """
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
