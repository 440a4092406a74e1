"""Release: what a compensation gave up is free at once, not with the sweeper's next mirror.

Path: issuance.intake -> [issuance.release] -> PostgreSQL, then the gate

It is the same mirror, run by the api process right after its cancellation has committed.
What it cannot do in its short time the sweeper does a quarter of a second later.
"""

import asyncio

from firstcome import postgres
from firstcome.campaigns import Mirrored, mirror_for
from firstcome.errors import DatabaseUnavailable, GateUnavailable, Refused
from firstcome.gate import register
from firstcome.gate.connection import GateConnection
from firstcome.logs import get_logger
from firstcome.model import CampaignId

log = get_logger()

# The users of the cancelled batch wait for this, after the cancellation itself.
TIMEOUT_SECONDS = 0.5


class Release:
    """Mirrors one campaign to its gate. Single event loop."""

    def __init__(self, pool: postgres.AsyncPool, connection: GateConnection) -> None:
        self._pool = pool
        self._connection = connection

    async def release(self, campaign_id: CampaignId) -> bool:
        """Release the users of cancelled places, and raise the gate's limit. Idempotent.

        Returns whether the gate has it; False is the sweeper's work. Never raises for engines.
        """
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._mirror(campaign_id)
        except (DatabaseUnavailable, GateUnavailable, Refused, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            log.warning("release_left_to_the_sweeper", campaign_id=campaign_id, reason=reason)
            return False

    async def _mirror(self, campaign_id: CampaignId) -> bool:
        gate = await register.read_hot(self._connection, campaign_id)
        if gate.epoch is None:
            return False
        read = self._read(campaign_id, gate.version)
        fresh, decided = await postgres.answered(read, TIMEOUT_SECONDS)
        return await register.mirror_hot(self._connection, fresh, gate.buckets, decided)

    async def _read(self, campaign_id: CampaignId, above_version: int) -> Mirrored:
        async with self._pool.transaction() as session:
            return await mirror_for(session, campaign_id, above_version)
