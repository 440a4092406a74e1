"""The stock board: how many coupons each campaign has left, as the public is told.

Path: api.campaigns -> issuance.engines -> [issuance.stock] -> an engine's gate or database

Everybody may ask, as often as he likes, so what is told may be a second old: a campaign's figure is
asked for once in that time, a few campaigns at once and by one asker at a time. What claims need
(the hot connection's room, the sessions of `direct`) is never taken by those who only look.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic

from firstcome.model import CampaignId

# Campaigns without a figure: not known now. Never raises.
Left = Mapping[CampaignId, int]

KNOWN_SECONDS = 1.0
UNKNOWN_SECONDS = 0.1  # a gate that is shut may open at any moment
# Of one question: a sixteenth of the calls that may be under way to Redis (redis.calls_in_flight).
ASKED_MAX = 64


class StockBoard:
    """What one engine's campaigns have left. Single event loop."""

    def __init__(
        self,
        ask: Callable[[Sequence[CampaignId]], Awaitable[Left]],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._left: dict[CampaignId, int | None] = {}
        self._until: dict[CampaignId, float] = {}
        self._asking = asyncio.Lock()

    async def left(self, campaign_ids: Sequence[CampaignId]) -> dict[CampaignId, int | None]:
        """Return what each has left, at most KNOWN_SECONDS old; None: that is not known now."""
        if self._stale(campaign_ids):
            async with self._asking:
                # The asker before may have asked for these too.
                stale = self._stale(campaign_ids)
                for start in range(0, len(stale), ASKED_MAX):
                    await self._read(stale[start : start + ASKED_MAX])
        return {each: self._left[each] for each in campaign_ids}

    def _stale(self, campaign_ids: Sequence[CampaignId]) -> list[CampaignId]:
        now = self._clock()
        return [each for each in campaign_ids if self._until.get(each, 0.0) <= now]

    async def _read(self, campaign_ids: Sequence[CampaignId]) -> None:
        found = await self._ask(campaign_ids)
        now = self._clock()
        for each in campaign_ids:
            left = self._left[each] = found.get(each)
            self._until[each] = now + (UNKNOWN_SECONDS if left is None else KNOWN_SECONDS)
