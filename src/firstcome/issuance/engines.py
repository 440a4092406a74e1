"""Which engine takes a claim: the one that its campaign names.

Path: api.express -> [issuance.engines] -> issuance.intake, or issuance.direct

A campaign never changes its engine, so it is looked up once. While the database cannot say, a
claim goes to the gate, which knows its own campaigns and refuses the others.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from firstcome.campaigns import CampaignDirectory
from firstcome.errors import DatabaseUnavailable
from firstcome.issuance.reply import UNAVAILABLE, Reply, say
from firstcome.logs import get_logger
from firstcome.model import Answer, CampaignId, Engine, Outcome, UserId

LOOKUPS_MAX = 1000  # claims that wait to learn their engine; beyond it 503
log = get_logger()


class Way(Protocol):
    """An engine's way from a claim to its answer."""

    def claim(
        self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Reply, /
    ) -> None:
        """Answer through `reply`, once, on the event loop. Never raises."""

    async def stock_left(self, campaign_id: CampaignId, /) -> int | None:
        """Return how many coupons are left; None: that is not known now."""

    async def drain(self) -> None:
        """Finish what is owed."""


class Engines:
    """Every engine of this deployment. Single event loop."""

    def __init__(self, ways: Mapping[Engine, Way], directory: CampaignDirectory) -> None:
        """The first way takes what nobody can look up."""
        self._ways = dict(ways)
        self._default = next(iter(self._ways.values()))
        self._directory = directory
        self._way_of: dict[CampaignId, Way] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def claim(self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Reply) -> None:
        """Hand one claim to its engine. Never raises; `reply` is called once."""
        way = self._way_of.get(campaign_id)
        if way is not None:
            way.claim(campaign_id, user_id, attempt, reply)
            return
        if len(self._tasks) >= LOOKUPS_MAX:
            reply(UNAVAILABLE)
            return
        task = asyncio.get_running_loop().create_task(
            self._look_up(campaign_id, user_id, attempt, reply)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stock_left(self, campaign_id: CampaignId) -> int | None:
        """Return how many coupons a campaign has left; None: that is not known now."""
        way = await self._way(campaign_id)
        return None if way is None else await way.stock_left(campaign_id)

    async def drain(self) -> None:
        """Let every engine finish what it owes."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for way in self._ways.values():
            await way.drain()

    async def _look_up(
        self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Reply
    ) -> None:
        try:
            way = await self._way(campaign_id)
        except Exception:
            log.exception("engine_not_found")
            say(reply, UNAVAILABLE)
            return
        if way is None:
            say(reply, Answer(Outcome.NOT_FOUND))
        else:
            way.claim(campaign_id, user_id, attempt, reply)

    async def _way(self, campaign_id: CampaignId) -> Way | None:
        """Return a campaign's engine; None: there is no such campaign."""
        known = self._way_of.get(campaign_id)
        if known is not None:
            return known
        try:
            campaign = await self._directory.get(campaign_id)
        except DatabaseUnavailable:
            return self._default
        if campaign is None:
            return None
        self._way_of[campaign_id] = self._ways[campaign.engine]
        return self._way_of[campaign_id]
