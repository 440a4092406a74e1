"""The mirror: what operators and cancellations changed in the database reaches the gate.

One mechanism for pause, close, restock, new times, compensation, redrive and discard:
each raised the campaign's version and marked the rows that it decided with it. The
mirror carries the difference over in one step, releasing the users of cancelled
rows; repeating it, late or twice, does nothing.
"""

from firstcome import failpoints, postgres
from firstcome.campaigns import mirror_of
from firstcome.errors import GateUnavailable
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.logs import get_logger
from firstcome.model import Campaign

log = get_logger()


def mirror(
    connection: postgres.Connection,
    session: GateSession,
    campaign: Campaign,
    gate: register.Register,
) -> bool:
    """Bring an open gate up to the database; return whether anything was missing.

    Raises DatabaseUnavailable, GateUnavailable; then the next tick tries again.
    """
    if gate.epoch != campaign.epoch or gate.version >= campaign.version:
        return False
    fresh, decided = mirror_of(connection, campaign.campaign_id, gate.version)
    lost = GateUnavailable("the mirror's reply was lost")
    failpoints.hit("before_release", lost=lost)
    version = register.mirror(session, fresh, gate.buckets, decided)
    failpoints.hit("after_release", lost=lost)
    if version < 0:
        return False  # shut or of another epoch by now: a rebuild loads all of it
    log.info(
        "campaign_mirrored",
        campaign_id=campaign.campaign_id,
        version=version,
        state=fresh.state,
        rows=len(decided),
    )
    return True
