"""Where does a user stand? One answer, from the gate; from the database while the gate is shut.

Path: api.express -> [issuance.status] -> gate, or postgres

REQUESTED here only means "under way"; the promise is the answer to the claim.
While the gate is shut, a row is proof of a place, but its absence proves nothing:
the answer is then "temporarily unavailable", never "not requested". While Redis is
only silent, a young row is not told either: the gate that comes back may not know it
yet, and a status never moves backwards (law L7).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

from firstcome.campaigns import CampaignDirectory
from firstcome.gate.gate import AskedStatus, Failure, Gate
from firstcome.gate.watcher import SettledWatcher
from firstcome.model import SETTLED, CampaignId, Outcome, Standing, Status, UserId
from firstcome.settings import IntakeSettings

Reply = Callable[[Standing], None]
UNAVAILABLE = Standing(Status.NOT_REQUESTED, problem=Outcome.UNAVAILABLE)
NOT_REQUESTED = Standing(Status.NOT_REQUESTED)
DATABASE_READS_MAX = 64  # at once; beyond it the answer is "temporarily unavailable"


class StatusReader:
    """Answers status reads of both doors. Single event loop."""

    def __init__(
        self,
        gate: Gate,
        watcher: SettledWatcher,
        directory: CampaignDirectory,
        settings: IntakeSettings,
    ) -> None:
        self._gate = gate
        self._watcher = watcher
        self._directory = directory
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()

    def read(
        self, campaign_id: CampaignId, user_id: UserId, wait_seconds: float, reply: Reply
    ) -> None:
        """Say where the user stands; if under way, wait so long for it to end. Never raises.

        `reply` is called once, on the event loop, maybe before this returns. Waits are bounded
        by intake.status_wait_seconds_max.
        """
        wait = min(wait_seconds, self._settings.status_wait_seconds_max)
        asked = AskedStatus(
            user_id, partial(self._found, campaign_id, user_id, monotonic() + wait, reply)
        )
        if not self._gate.status(campaign_id, asked):
            reply(UNAVAILABLE)

    def _found(
        self,
        campaign_id: CampaignId,
        user_id: UserId,
        deadline: float,
        reply: Reply,
        value: int | Failure,
    ) -> None:
        if isinstance(value, Failure):
            self._ask_database(campaign_id, user_id, reply, gate_returns=not value.over)
            return
        if value == 0:
            reply(NOT_REQUESTED)
            return
        position, status = value >> 2, SETTLED[value & 3]
        epoch = self._gate.epoch(campaign_id)
        if status is Status.REQUESTED and epoch is not None and deadline > monotonic():
            self._watcher.watch(
                campaign_id,
                epoch.number,
                position,
                deadline,
                lambda final: reply(Standing(final, position)),
            )
        else:
            reply(Standing(status, position))

    def _ask_database(
        self, campaign_id: CampaignId, user_id: UserId, reply: Reply, *, gate_returns: bool
    ) -> None:
        if len(self._tasks) >= DATABASE_READS_MAX:
            reply(UNAVAILABLE)
            return
        task = asyncio.get_running_loop().create_task(
            self._read_database(campaign_id, user_id, reply, gate_returns)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_database(
        self, campaign_id: CampaignId, user_id: UserId, reply: Reply, gate_returns: bool
    ) -> None:
        try:
            standing = await self._directory.standing(
                campaign_id, user_id, gate_returns=gate_returns
            )
        except Exception:
            standing = UNAVAILABLE
        reply(standing)
