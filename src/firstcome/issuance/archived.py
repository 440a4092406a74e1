"""Archived campaigns leave Redis: gate, users, journal, settled bits. The rows stay, and answer.

Beside the path: PostgreSQL -> [issuance.archived] -> the gate's keys

The gate's own key goes first: without it no script does anything. An epoch is crossed off in the
database only when its keys have been gone for a while in one life of the server, and are removed
once more then: a Redis that dies forgets the last second of what it did, a replica that takes its
place a little more, and a rebuild that was overtaken may have made the gate's key again.
"""

from collections.abc import Callable
from time import monotonic

from firstcome import postgres
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.logs import get_logger
from firstcome.model import CampaignId

EPOCHS = 20  # of one tick: a hundred milliseconds of Redis for a million users each
SURE_SECONDS = 10.0  # the append-only file is written once a second
_QUERIES = postgres.queries("archival")
log = get_logger()


class Archived:
    """Removes the keys of archived campaigns. For one thread."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        # By campaign and epoch: in which life of the server its keys were removed, and when.
        self._removed: dict[tuple[CampaignId, int], tuple[str, float]] = {}

    def run_once(self, connection: postgres.Connection, session: GateSession) -> int:
        """Remove what is left of a few epochs; return of how many it went. Idempotent.

        Raises DatabaseUnavailable, GateUnavailable; then the next tick tries again.
        """
        with postgres.transaction(connection):
            left = connection.execute(_QUERIES["leftovers"], {"epochs": EPOCHS}).fetchall()
        before, self._removed = self._removed, {}
        gone = 0
        for number, epoch, buckets in left:
            key = campaign_id, _ = CampaignId(number), epoch
            life, since = before.get(key, ("", 0.0))
            is_again = life == session.run_id
            is_sure = is_again and self._clock() - since >= SURE_SECONDS
            if not is_again or is_sure:
                register.forget(session, campaign_id)
                register.unlink(session, campaign_id, epoch, buckets)
            if is_sure:
                self._cross_off(connection, campaign_id, epoch)
                continue
            self._removed[key] = session.run_id, since if is_again else self._clock()
            gone += not is_again
        return gone

    def _cross_off(
        self, connection: postgres.Connection, campaign_id: CampaignId, epoch: int
    ) -> None:
        with postgres.transaction(connection):
            values = {"campaign_id": campaign_id, "epoch": epoch}
            connection.execute(_QUERIES["removed"], values)
        log.info("archived_keys_removed", campaign_id=campaign_id, epoch=epoch)
