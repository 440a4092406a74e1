"""The directory: what the api knows of campaigns, and of their users' rows.

Campaigns are read once a second at most (MISS_SECONDS apart for one not known yet), and stay known
while the database is away.
"""

import builtins
from asyncio import Task, get_running_loop, shield
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import NamedTuple

from firstcome import postgres
from firstcome.campaigns.rows import QUERIES, Listed, engine_of, listed
from firstcome.errors import DatabaseUnavailable, LaterVersion
from firstcome.model import (
    Campaign,
    CampaignId,
    CampaignState,
    Outcome,
    Position,
    Standing,
    Status,
    UserId,
)
from firstcome.settings import PostgresSettings

REFRESH_SECONDS = 1.0
# The gate has heard of a row by then, though recorders may have lost their way to it meanwhile.
SETTLED_SECONDS = 60.0
MISS_SECONDS = 0.1  # a campaign that is not known yet may have been made a moment ago


class HeldCoupon(NamedTuple):
    """What a user holds in one campaign."""

    campaign_id: CampaignId
    campaign_name: str
    position: Position
    status: Status
    recorded_at: datetime


class CampaignDirectory:
    """What the api knows of campaigns: read once a second, ten times for one not known yet."""

    def __init__(
        self,
        pool: postgres.AsyncPool,
        answer_seconds: float = PostgresSettings().answer_timeout_seconds,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`answer_seconds`: how long anybody waits; a server may stand still for longer."""
        self._pool = pool
        self._answer_seconds = answer_seconds
        self._clock = clock
        self._campaigns: dict[CampaignId, Campaign] = {}
        self._listed = Listed([], {})
        self._refreshed_at: float | None = None
        self._refreshing: Task[None] | None = None

    async def list(self) -> list[Campaign]:
        """Return all campaigns that this version can read, oldest first, at most a second old,
        or the last ones known while the database is away.

        Raises DatabaseUnavailable when none were ever read.
        """
        await self._refresh()
        return [*self._listed.campaigns]

    async def get(self, campaign_id: CampaignId) -> Campaign | None:
        """Return one campaign, None when there is none; age as `list`.

        That there is none is at most a tenth of a second old. Raises DatabaseUnavailable when
        the campaign is not known and the database does not say, LaterVersion when this version
        does not understand what it says.
        """
        await self._refresh()
        if campaign_id not in self._campaigns:
            # Nothing older can say that there is none.
            await self._refresh(MISS_SECONDS, needed=True)
        if reason := self._listed.unreadable.get(campaign_id):
            raise LaterVersion(reason)
        return self._campaigns.get(campaign_id)

    async def coupons_of(self, user_id: UserId) -> builtins.list[HeldCoupon]:
        """Return what a user holds, newest first. Raises DatabaseUnavailable."""
        return [
            HeldCoupon(campaign_id, name, position, Status(status), recorded_at)
            for campaign_id, name, position, status, recorded_at in await self._rows(
                "coupons_of", user_id=user_id
            )
        ]

    async def standing(
        self, campaign_id: CampaignId, user_id: UserId, *, gate_returns: bool = False
    ) -> Standing:
        """Say where a user stands, from rows alone. Raises DatabaseUnavailable.

        No row proves nothing while claims may still be under way between gate and database:
        then the problem is UNAVAILABLE, never "not requested". The same for a young row if
        `gate_returns`: the gate may be asked next, in this same epoch, and not know it yet.
        """
        rows = await self._rows(
            "standing",
            campaign_id=campaign_id,
            user_id=user_id,
            settled_seconds=SETTLED_SECONDS,
        )
        if not rows:
            return Standing(Status.NOT_REQUESTED, problem=Outcome.NOT_FOUND)
        engine, state, position, status, is_settled = rows[0]
        # Without a gate, or put away with all its claims recorded: the rows are all there is.
        rows_decide = not engine_of(engine).has_gate or state == CampaignState.ARCHIVED
        if position is not None and (is_settled or rows_decide or not gate_returns):
            return Standing(Status(status), position)
        if position is None and rows_decide:
            return Standing(Status.NOT_REQUESTED)
        return Standing(Status.NOT_REQUESTED, problem=Outcome.UNAVAILABLE)

    async def _refresh(self, age_seconds: float = REFRESH_SECONDS, *, needed: bool = False) -> None:
        at = self._refreshed_at
        if at is not None and self._clock() - at < age_seconds:
            return
        if self._refreshing is None:
            self._refreshing = get_running_loop().create_task(self._read())
        try:
            # A caller that goes away does not take the others' answer with it.
            await shield(self._refreshing)
        except DatabaseUnavailable:
            if at is None or needed:
                raise

    async def _read(self) -> None:
        try:
            self._listed = listed(await self._rows("list"))
            self._campaigns = {each.campaign_id: each for each in self._listed.campaigns}
            self._refreshed_at = self._clock()
        finally:
            self._refreshing = None

    async def _rows(self, query: str, **parameters: object) -> builtins.list[postgres.Row]:
        """Return all rows. Raises DatabaseUnavailable."""

        async def read() -> builtins.list[postgres.Row]:
            async with self._pool.transaction() as connection:
                found = await connection.execute(QUERIES[query], parameters)
                return await found.fetchall()

        return await postgres.answered(read(), self._answer_seconds)
