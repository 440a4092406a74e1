"""Archived campaigns leave Redis: gate, users, journal, settled bits. The rows stay, and answer.

Beside the path: PostgreSQL -> [issuance.archived] -> the gate's keys

The gate's own key goes first: without it no script does anything. An epoch is crossed off in the
database only when its keys are gone, so a step that fails is done again at the next tick.
"""

from firstcome import postgres
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.logs import get_logger
from firstcome.model import CampaignId

EPOCHS = 20  # of one tick: a hundred milliseconds of Redis for a million users each
_QUERIES = postgres.queries("archival")
log = get_logger()


def remove_keys(connection: postgres.Connection, session: GateSession) -> int:
    """Remove the keys of archived campaigns; return of how many epochs. Idempotent.

    Raises DatabaseUnavailable, GateUnavailable; then the next tick tries again.
    """
    with postgres.transaction(connection):
        left = connection.execute(_QUERIES["leftovers"], {"epochs": EPOCHS}).fetchall()
    for number, epoch, buckets in left:
        campaign_id = CampaignId(number)
        register.forget(session, campaign_id)
        register.unlink(session, campaign_id, epoch, buckets)
        with postgres.transaction(connection):
            connection.execute(_QUERIES["removed"], {"campaign_id": number, "epoch": epoch})
        log.info("archived_keys_removed", campaign_id=number, epoch=epoch)
    return len(left)
