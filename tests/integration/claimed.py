"""Campaigns with an open epoch, and claims on them, for the tests of what is recorded."""

from collections.abc import Sequence
from typing import Any

from firstcome import postgres
from firstcome.eventlog.consumer import Origin
from firstcome.eventlog.events import IssuanceRequested, decode
from firstcome.issuance.batch import Batch
from firstcome.model import CampaignId

REQUESTED_AT = 1_795_000_000.0


def open_campaign(connection: postgres.Connection, *, stock: int = 1000) -> CampaignId:
    """Make a campaign whose gate is in its first epoch."""
    row = connection.execute(
        "INSERT INTO campaigns (name, engine, stock, position_limit, epoch) "
        "VALUES ('test', 'kafka', %s, %s, 1) RETURNING campaign_id",
        (stock, stock),
    ).fetchone()
    assert row is not None
    begin_epoch(connection, row[0], 1)
    return CampaignId(row[0])


def begin_epoch(connection: postgres.Connection, campaign_id: int, epoch: int) -> None:
    """Begin an epoch that lasts."""
    connection.execute(
        "INSERT INTO epochs (campaign_id, epoch, buckets) VALUES (%s, %s, 1)", (campaign_id, epoch)
    )


def end_epoch(connection: postgres.Connection, campaign_id: int, epoch: int, last: int) -> None:
    """End an epoch at a position, and begin the next one."""
    connection.execute(
        "UPDATE epochs SET last_position = %s WHERE campaign_id = %s AND epoch = %s",
        (last, campaign_id, epoch),
    )
    begin_epoch(connection, campaign_id, epoch + 1)
    connection.execute(
        "UPDATE campaigns SET epoch = %s WHERE campaign_id = %s", (epoch + 1, campaign_id)
    )


def batch(
    campaign_id: int,
    first_position: int,
    users: Sequence[str],
    *,
    epoch: int = 1,
    attempts: Sequence[int] = (),
    offset: int | None = None,
    requested_at: float = REQUESTED_AT,
) -> Batch:
    """Return a batch as the log would bring it."""
    event = IssuanceRequested(
        campaign_id, epoch, first_position, list(users), list(attempts), requested_at
    )
    return Batch(event, None if offset is None else Origin("requests", 0, offset))


def rows(connection: postgres.Connection, campaign_id: int) -> list[tuple[Any, ...]]:
    """Return (position, user, status) of every row."""
    return connection.execute(
        "SELECT position, user_id, status::text FROM issuances WHERE campaign_id = %s "
        "ORDER BY position",
        (campaign_id,),
    ).fetchall()


def announced(connection: postgres.Connection, campaign_id: int) -> list[int]:
    """Return every position in the outbox, repeats included."""
    found = connection.execute(
        "SELECT generate_series(lower(r), upper(r) - 1) FROM outbox, unnest(positions) AS r "
        "WHERE campaign_id = %s ORDER BY 1",
        (campaign_id,),
    )
    return [position for (position,) in found]


def dead_letters(connection: postgres.Connection) -> list[tuple[Any, ...]]:
    """Return (reason, position, user, offset) of every dead letter."""
    return connection.execute(
        'SELECT reason, position, user_id, "offset" FROM dead_letters ORDER BY dead_letter_id'
    ).fetchall()


def payloads(connection: postgres.Connection) -> list[IssuanceRequested | None]:
    """Return what the payload of every dead letter says, as the log would bring it."""
    found = connection.execute("SELECT payload FROM dead_letters ORDER BY dead_letter_id")
    return [decode(payload) for (payload,) in found]


def numbers_of(connection: postgres.Connection, campaign_id: int) -> tuple[int, int]:
    """Return (position_limit, version)."""
    row = connection.execute(
        "SELECT position_limit, version FROM campaigns WHERE campaign_id = %s", (campaign_id,)
    ).fetchone()
    assert row is not None
    return row[0], row[1]
