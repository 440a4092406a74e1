"""What the HTTP side is made of: the parts that processes/api.py hands over.

The shapes below are what this package uses of Engines, StatusReader, CampaignDirectory
and CouponCodes, and nothing else of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from firstcome.api.auth import Authenticator
from firstcome.model import Answer, Campaign, CampaignId, Position, Standing, Status, UserId
from firstcome.settings import Settings

# A user's coupon: campaign, its name, position, status, when the place was recorded.
CouponRow = tuple[CampaignId, str, Position, Status, datetime]


class Claiming(Protocol):
    """Engines, or one engine's way."""

    def claim(
        self,
        campaign_id: CampaignId,
        user_id: UserId,
        attempt: int,
        reply: Callable[[Answer], None],
        /,
    ) -> None:
        """Never raises; calls `reply` once, on the event loop, maybe before it returns."""

    async def stock_left(self, campaigns: Sequence[Campaign], /) -> Sequence[int | None]:
        """One figure a campaign, maybe a second old. None: that is not known now."""


class Telling(Protocol):
    """StatusReader."""

    def read(
        self,
        campaign_id: CampaignId,
        user_id: UserId,
        wait_seconds: float,
        reply: Callable[[Standing], None],
        /,
    ) -> None:
        """Never raises; calls `reply` once, on the event loop, maybe before it returns."""


class Directory(Protocol):
    """CampaignDirectory. May raise Unavailable."""

    async def list(self) -> Sequence[Campaign]:
        """All campaigns that the public may see, by number."""

    async def get(self, campaign_id: CampaignId, /) -> Campaign | None:
        """One campaign."""

    async def coupons_of(self, user_id: UserId, /) -> Iterable[CouponRow]:
        """A user's coupons."""


class Codes(Protocol):
    """CouponCodes."""

    def code(self, campaign_id: CampaignId, position: Position, /) -> str:
        """The code of an issued coupon."""


class Condition(NamedTuple):
    """How this process is: whether it leaves, and which engines it does without just now."""

    is_draining: bool
    redis_away: bool
    kafka_away: bool


@dataclass(frozen=True)
class ApiParts:
    """Everything that answers on the public port."""

    intake: Claiming
    statuses: Telling
    directory: Directory
    codes: Codes
    authenticator: Authenticator
    condition: Callable[[], Condition]
    settings: Settings
