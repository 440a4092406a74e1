"""Compensation: give up at once what the log has certainly not taken.

Path: issuance.intake -> [issuance.compensation] -> PostgreSQL, then issuance.release

Only for an append that was refused before anything was handed over; an outcome that
is unknown is never compensated. The transaction that cancels by insert and raises the
limit commits first, so whatever happens afterwards the sweeper's mirror finishes it.
"""

from firstcome import failpoints, postgres
from firstcome.errors import BadRecord, DatabaseUnavailable
from firstcome.eventlog.events import IssuanceRequested
from firstcome.issuance.cancellation import QUERY, Cancellation, Reason
from firstcome.logs import get_logger
from firstcome.model import CampaignId, Position

log = get_logger()

# A user waits for this; after it the outcome counts as unknown and the sweeper settles it.
TIMEOUT_SECONDS = 2.0


class Compensation:
    """Cancels batches that were not appended."""

    def __init__(
        self, pool: postgres.AsyncPool, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._pool = pool
        self._timeout_seconds = timeout_seconds

    async def cancel(self, event: IssuanceRequested) -> frozenset[Position]:
        """Cancel the batch's claims and return the positions that this call cancelled.

        Only their users may be released. Of the others nothing is known: a row was there
        already, the epoch is over, or PostgreSQL gave no answer in time. Never raises those.
        """
        cancellation = Cancellation(
            CampaignId(event.campaign_id),
            event.epoch,
            range(event.first_position, event.first_position + len(event.users)),
            event.users,
            Reason.NOT_APPENDED,
        )
        lost = DatabaseUnavailable("the reply of the cancellation was lost")
        try:
            failpoints.hit("before_cancel", lost=lost)
            rows = await postgres.answered(self._inserted(cancellation), self._timeout_seconds)
            failpoints.hit("after_cancel", lost=lost)
        except (DatabaseUnavailable, BadRecord) as error:
            log.error("compensation_failed", claims=len(event.users), reason=str(error))
            return frozenset()
        return frozenset(Position(position) for (position,) in rows)

    async def _inserted(self, cancellation: Cancellation) -> list[postgres.Row]:
        async with self._pool.transaction() as session:
            found = await session.execute(QUERY, cancellation.parameters())
            return await found.fetchall()
