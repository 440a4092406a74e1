"""How a campaign's row reads: as a value of the model, or with what a gate has missed."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from firstcome import postgres
from firstcome.errors import CampaignNotFound, LaterVersion
from firstcome.gate.register import Decided
from firstcome.logs import get_logger
from firstcome.model import Campaign, CampaignId, CampaignState, Engine

QUERIES = postgres.queries("campaigns")
_CAMPAIGN_COLUMNS = len(Campaign._fields)
GATED = tuple(engine.value for engine in Engine if engine.has_gate)
log = get_logger()


class Listed(NamedTuple):
    """Campaigns that this version can read; of the others, which a later one made, why not."""

    campaigns: list[Campaign]
    unreadable: dict[CampaignId, str]


class Mirrored(NamedTuple):
    """A campaign with its rows decided since a version, as of one moment."""

    campaign: Campaign
    decided: list[Decided]


def campaign_of(row: postgres.Row) -> Campaign:
    """Return the campaign that a row of sql/campaigns.sql begins with. Raises LaterVersion."""
    return _typed(Campaign(*row[:_CAMPAIGN_COLUMNS]))


def listed(rows: Iterable[postgres.Row]) -> Listed:
    """Return the campaigns of many rows; one that cannot be read does not hide the others."""
    found = Listed([], {})
    for row in rows:
        raw = Campaign(*row[:_CAMPAIGN_COLUMNS])
        if reason := unreadable(raw.campaign_id, raw.engine):
            found.unreadable[raw.campaign_id] = reason
        else:
            found.campaigns.append(_typed(raw))
    return found


def unreadable(campaign_id: CampaignId, engine: str) -> str | None:
    """Return why this version cannot read a campaign, and tell the log once; None: it can."""
    try:
        engine_of(engine)
    except LaterVersion as error:
        _tell_once(campaign_id, str(error))
        return str(error)
    return None


def engine_of(name: str) -> Engine:
    """Return the engine that a row names. Raises LaterVersion."""
    try:
        return Engine(name)
    except ValueError as error:
        raise LaterVersion(
            f"a campaign has the engine {name!r}, which this version of firstcome does not know: "
            "run the version that made it; nothing was changed"
        ) from error


def _typed(raw: Campaign) -> Campaign:
    return raw._replace(engine=engine_of(raw.engine), state=CampaignState(raw.state))


@lru_cache(maxsize=1000)
def _tell_once(campaign_id: CampaignId, reason: str) -> None:
    log.error("campaign_left_out", campaign_id=campaign_id, reason=reason)


def gated(connection: postgres.Connection) -> list[Campaign]:
    """Return the campaigns whose claims pass through a gate, archived ones left out.

    In a transaction of its own. Raises DatabaseUnavailable.
    """
    with postgres.transaction(connection):
        rows = connection.execute(QUERIES["gated"], {"engines": [*GATED]}).fetchall()
    return [campaign_of(row) for row in rows]


def epochs_of(
    connection: postgres.Connection, engines: Sequence[str] = GATED
) -> dict[CampaignId, int]:
    """Return the epochs of some engines' campaigns by the rows, archived ones left out.

    In a transaction of its own. Raises DatabaseUnavailable.
    """
    with postgres.transaction(connection):
        rows = connection.execute(QUERIES["epochs"], {"engines": [*engines]}).fetchall()
    return dict(rows)


def found(
    connection: postgres.Connection, query: Literal["show", "lock"], campaign_id: CampaignId
) -> Campaign:
    """Return a campaign, within the caller's transaction. Raises CampaignNotFound."""
    row = connection.execute(QUERIES[query], {"campaign_id": campaign_id}).fetchone()
    if row is None:
        raise _not_found(campaign_id)
    return campaign_of(row)


def _not_found(campaign_id: CampaignId) -> CampaignNotFound:
    return CampaignNotFound(
        f"there is no campaign {campaign_id}: `firstcome campaign list` shows them all"
    )


def mirror_of(
    connection: postgres.Connection, campaign_id: CampaignId, above_version: int
) -> Mirrored:
    """Read what a gate at `above_version` has missed, in a transaction of its own.

    Raises CampaignNotFound, DatabaseUnavailable.
    """
    parameters = {"campaign_id": campaign_id, "above_version": above_version}
    with postgres.transaction(connection):
        rows = connection.execute(QUERIES["mirror"], parameters).fetchall()
    return _mirrored(campaign_id, rows)


async def mirror_for(
    connection: postgres.AsyncConnection, campaign_id: CampaignId, above_version: int
) -> Mirrored:
    """Read the same for an asyncio process, within the caller's transaction."""
    parameters = {"campaign_id": campaign_id, "above_version": above_version}
    found = await connection.execute(QUERIES["mirror"], parameters)
    return _mirrored(campaign_id, await found.fetchall())


def _mirrored(campaign_id: CampaignId, rows: list[postgres.Row]) -> Mirrored:
    if not rows:
        raise _not_found(campaign_id)
    decided = [Decided(*row[_CAMPAIGN_COLUMNS:]) for row in rows]
    return Mirrored(campaign_of(rows[0]), [each for each in decided if each.position is not None])
