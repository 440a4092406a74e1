"""Which engine takes a claim: the one that its campaign names.

Path: api.express -> [issuance.engines] -> issuance.intake, or issuance.direct

A campaign never changes its engine, so it is looked up once. What the database does not know, or
cannot say, goes to the gate: it knows its own campaigns and explains why it refuses others.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import NamedTuple, Protocol

from firstcome.campaigns import CampaignDirectory
from firstcome.errors import DatabaseUnavailable, LaterVersion
from firstcome.issuance.reply import UNAVAILABLE, Reply
from firstcome.issuance.stock import Left, StockBoard
from firstcome.logs import get_logger
from firstcome.model import Campaign, CampaignId, Engine, UserId

# For so long a campaign without an answer goes to the gate and is not looked up again.
UNKNOWN_SECONDS, AWAY_SECONDS = 0.1, 1.0
GUESSES_MAX = 1000
log = get_logger()


class Way(Protocol):
    """An engine's way from a claim to its answer."""

    def claim(
        self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Reply, /
    ) -> None:
        """Answer through `reply`, once, on the event loop. Never raises."""

    async def stock_left(self, campaign_ids: Sequence[CampaignId], /) -> Left:
        """Return how many coupons each has left; without those of which that is not known now."""

    async def drain(self) -> None:
        """Finish what is owed."""


class _Waiting(NamedTuple):
    """A claim that waits to learn its engine."""

    user_id: UserId
    attempt: int
    reply: Reply


class Engines:
    """Every engine of this deployment. Single event loop."""

    def __init__(
        self,
        ways: Mapping[Engine, Way],
        directory: CampaignDirectory,
        waiting_max: int,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """The first way takes what nobody can look up; `waiting_max`: claims, beyond it 503."""
        self._ways = dict(ways)
        self._boards = {
            engine: StockBoard(way.stock_left, clock=clock) for engine, way in self._ways.items()
        }
        self._gate = next(iter(self._ways.values()))
        self._directory = directory
        self._waiting_max = waiting_max
        self._clock = clock
        self._way_of: dict[CampaignId, Way] = {}
        self._guessed_until: dict[CampaignId, float] = {}
        self._waiting: dict[CampaignId, list[_Waiting]] = {}
        self._lookups: set[asyncio.Task[None]] = set()

    def claim(self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Reply) -> None:
        """Hand one claim to its engine, in the order of arrival. Never raises."""
        way = self._way_of.get(campaign_id)
        if way is not None:
            way.claim(campaign_id, user_id, attempt, reply)
            return
        if self._guessed_until.get(campaign_id, 0.0) > self._clock():
            self._gate.claim(campaign_id, user_id, attempt, reply)
            return
        waiting = self._waiting.get(campaign_id)
        if waiting is None:
            waiting = self._waiting[campaign_id] = []
            task = asyncio.get_running_loop().create_task(self._look_up(campaign_id))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)
        if len(waiting) >= self._waiting_max or len(self._waiting) > GUESSES_MAX:
            reply(UNAVAILABLE)
        else:
            waiting.append(_Waiting(user_id, attempt, reply))

    async def stock_left(self, campaigns: Sequence[Campaign]) -> list[int | None]:
        """Return how many coupons each has left, at most a second old; None: not known now."""
        asked: dict[Engine, list[CampaignId]] = {}
        for campaign in campaigns:
            asked.setdefault(campaign.engine, []).append(campaign.campaign_id)
        boards = (self._boards[engine].left(ids) for engine, ids in asked.items())
        left = {key: value for part in await asyncio.gather(*boards) for key, value in part.items()}
        return [left[campaign.campaign_id] for campaign in campaigns]

    async def drain(self) -> None:
        """Let every engine finish what it owes."""
        await asyncio.gather(*self._lookups, return_exceptions=True)
        for way in self._ways.values():
            await way.drain()

    async def _look_up(self, campaign_id: CampaignId) -> None:
        way: Way | None = self._gate
        try:
            way = await self._way(campaign_id)
        except LaterVersion:
            way = None  # whatever its gate would say is for a later version to understand
        except Exception:
            log.exception("engine_not_found")
        finally:
            for claim in self._waiting.pop(campaign_id):
                if way is None:
                    claim.reply(UNAVAILABLE)
                else:
                    way.claim(campaign_id, *claim)

    async def _way(self, campaign_id: CampaignId) -> Way:
        known = self._way_of.get(campaign_id)
        if known is not None:
            return known
        try:
            campaign = await self._directory.get(campaign_id)
        except LaterVersion:
            raise
        except DatabaseUnavailable:
            return self._guess(campaign_id, AWAY_SECONDS)
        if campaign is None:
            return self._guess(campaign_id, UNKNOWN_SECONDS)
        self._guessed_until.pop(campaign_id, None)
        return self._way_of.setdefault(campaign_id, self._ways[campaign.engine])

    def _guess(self, campaign_id: CampaignId, seconds: float) -> Way:
        if len(self._guessed_until) >= GUESSES_MAX:
            self._guessed_until.clear()
        self._guessed_until[campaign_id] = self._clock() + seconds
        return self._gate
