"""The engine `direct`: one PostgreSQL transaction a claim, and the answer is the row itself.

Path: api.express -> issuance.engines -> [issuance.direct] -> PostgreSQL

No gate, no log, nothing to recover: whoever hears ISSUED has a committed row. Everybody of a
campaign waits for its one row, so it is the slowest engine by far, and the simplest. What the
database does not answer is "unknown"; the same Idempotency-Key finds out.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic, time
from typing import Any

from firstcome import postgres
from firstcome.errors import DatabaseUnavailable, RowExists
from firstcome.issuance.reply import UNAVAILABLE, UNKNOWN, Reply, say
from firstcome.issuance.stock import Left
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import Answer, CampaignId, Outcome, Status, UserId
from firstcome.settings import DirectSettings

_QUERIES = postgres.queries("direct")
TELL_SECONDS = 1.0  # refusals of the database are logged so often, as a count
# What the database refuses with, by SQLSTATE; many claims on one row may meet the first two.
KINDS = {
    "55P03": catalogue.LOCK_TIMEOUT,
    "40P01": catalogue.DEADLOCK,
}
STOCK_SECONDS = 0.5  # who only looks waits no longer
log = get_logger()


class Direct:
    """Takes claims of campaigns whose engine is `direct`. Single event loop."""

    def __init__(
        self, settings: DirectSettings, sessions: postgres.Statements, pool: postgres.AsyncPool
    ) -> None:
        """`sessions`: for claims alone; `pool`: for what may wait."""
        self._settings = settings
        self._sessions = sessions
        self._pool = pool
        self._decide = _QUERIES[settings.variant]
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused_by: Counter[str] = Counter()  # the database's refusals, by kind
        self._told_at = 0.0
        for kind in catalogue.DIRECT_KINDS:
            catalogue.DIRECT_REFUSALS.of(kind)  # told as 0: the first refusal is seen to be one

    def claim(self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Reply) -> None:
        """Answer one claim through `reply`, once, later. Never raises.

        Idempotent for one attempt, as Intake.claim is.
        """
        if len(self._tasks) >= self._settings.queue_claims_max:
            reply(UNAVAILABLE)
            return
        values = {
            "campaign_id": campaign_id,
            "user_id": user_id,
            "attempt": attempt,
            "requested_at": time(),
        }
        task = asyncio.get_running_loop().create_task(self._answer(values, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stock_left(self, campaign_ids: Sequence[CampaignId]) -> Left:
        """Return how many coupons each has left; nothing while the database is away."""
        try:
            row = await postgres.answered(self._stock(campaign_ids), STOCK_SECONDS)
        except DatabaseUnavailable:
            return {}
        return {} if row is None or row[0] is None else dict(zip(*row, strict=True))

    async def _stock(self, campaign_ids: Sequence[CampaignId]) -> postgres.Row | None:
        asked = {"campaign_ids": list(campaign_ids)}
        async with self._pool.transaction() as connection:
            found = await connection.execute(_QUERIES["stock_left"], asked)
            return await found.fetchone()

    async def drain(self) -> None:
        """Wait for the claims under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, values: dict[str, Any], reply: Reply) -> None:
        try:
            answer = await self._decided(values)
        except DatabaseUnavailable as error:
            self._count(error)
            answer = UNAVAILABLE if error.certain else UNKNOWN
        except Exception:
            log.exception("claim_mishandled")
            answer = UNKNOWN
        say(reply, answer)

    async def _decided(self, values: dict[str, Any]) -> Answer:
        try:
            issued = await self._sessions.one(self._decide, values)
        except RowExists:
            issued = None
        if issued is not None:
            return Answer(Outcome.ISSUED, int(issued[0]), Status.ISSUED)
        row = await self._sessions.one(_QUERIES["explain"], values)
        if row is None:
            return Answer(Outcome.NOT_FOUND)
        refusal, position, status, held_attempt = row
        if position is None:
            return Answer(Outcome(refusal))
        if values["attempt"] and held_attempt == values["attempt"] and status == Status.ISSUED:
            return Answer(Outcome.ISSUED, position, Status.ISSUED, replayed=True)
        return Answer(Outcome.DUPLICATE, position, Status(status))

    def _count(self, error: DatabaseUnavailable) -> None:
        kind = _kind(error)
        self.refused_by[kind] += 1
        catalogue.DIRECT_REFUSALS.add(1, kind)
        if monotonic() - self._told_at >= TELL_SECONDS:
            self._told_at = monotonic()
            log.warning(
                "claims_refused_by_the_database",
                lock_timeouts=self.refused_by[catalogue.LOCK_TIMEOUT],
                deadlocks=self.refused_by[catalogue.DEADLOCK],
                all=self.refused_by.total(),
                last=str(error),
            )


def _kind(error: DatabaseUnavailable) -> str:
    if error.sqlstate:
        return KINDS.get(error.sqlstate, catalogue.OTHER)
    # Nothing was asked for want of a session, or asked and not answered.
    return catalogue.NO_SESSION if error.certain else catalogue.SILENT
