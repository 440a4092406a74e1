"""A campaign beside its gate: what is left of it, and whether the gate shows a change.

What PostgreSQL holds is true; the gate follows by versions, as soon as a sweeper runs.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from firstcome.campaigns import Campaigns
from firstcome.errors import GateUnavailable
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.model import Campaign, CampaignId
from firstcome.settings import RedisSettings

GATE_TIMEOUT_SECONDS = 5.0
GATE_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Shown:
    """A campaign with what is left of it, as the gate says, else as the rows say."""

    campaign_id: int
    name: str
    engine: str
    state: str
    stock: int
    stock_left: int
    stock_left_by: str
    opens_at: datetime | None
    closes_at: datetime | None
    epoch: int
    version: int
    issued: int
    under_review: int
    cancelled: int


def shown(campaigns: Campaigns, redis: RedisSettings, campaign_id: CampaignId) -> Shown:
    """Return the campaign; while the gate is away or shut, what is left is what the rows say."""
    campaign, counts = campaigns.show(campaign_id), campaigns.counts(campaign_id)
    left, by = campaign.position_limit - counts.position_last, "database"
    try:
        with GateSession.open(redis) as session:
            gate = register.read(session, campaign_id)
        if gate.epoch is not None:
            left, by = gate.position_limit - gate.position_last, "gate"
    except GateUnavailable:
        by = "database"
    return Shown(
        campaign.campaign_id,
        campaign.name,
        campaign.engine,
        campaign.state,
        campaign.stock,
        left,
        by,
        campaign.opens_at,
        campaign.closes_at,
        campaign.epoch,
        campaign.version,
        counts.issued,
        counts.under_review,
        counts.cancelled,
    )


def gate_is_gone(redis: RedisSettings, campaign: Campaign) -> bool:
    """Wait until the keys of an archived campaign are leaving Redis; False: not in time."""
    deadline = time.monotonic() + GATE_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            with GateSession.open(redis) as session:
                if not register.read(session, campaign.campaign_id).field:
                    return True
        except GateUnavailable:
            pass
        time.sleep(GATE_PAUSE_SECONDS)
    return False


def gate_follows(redis: RedisSettings, campaign: Campaign) -> bool:
    """Wait until the gate is open at this version or a later one; False: not in time.

    The engine `direct` has no gate: the row is all there is to follow.
    """
    if not campaign.engine.has_gate:
        return True
    deadline = time.monotonic() + GATE_TIMEOUT_SECONDS
    while True:
        try:
            with GateSession.open(redis) as session:
                while True:
                    gate = register.read(session, campaign.campaign_id)
                    if gate.epoch is not None and gate.version >= campaign.version:
                        return True
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(GATE_PAUSE_SECONDS)
        except GateUnavailable:
            if time.monotonic() > deadline:
                return False
            time.sleep(GATE_PAUSE_SECONDS)
