"""Campaigns: what operators do with them, and what the api and the gate's mirror know of them.

PostgreSQL holds the truth of a campaign; the gate follows by its version.
"""

from firstcome.campaigns.archival import archive
from firstcome.campaigns.commands import (
    KEEP,
    Campaigns,
    Counts,
    Time,
    Winner,
)
from firstcome.campaigns.directory import CampaignDirectory, HeldCoupon
from firstcome.campaigns.rows import Mirrored, mirror_for, mirror_of

__all__ = [
    "KEEP",
    "CampaignDirectory",
    "Campaigns",
    "Counts",
    "HeldCoupon",
    "Mirrored",
    "Time",
    "Winner",
    "archive",
    "mirror_for",
    "mirror_of",
]
