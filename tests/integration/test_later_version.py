"""What a later version writes of a campaign does not take everything else down."""

from collections.abc import Callable
from functools import partial

import pytest

from firstcome import postgres
from firstcome.campaigns import CampaignDirectory, Campaigns
from firstcome.campaigns.rows import epochs_of, gated
from firstcome.console.lag import Lag
from firstcome.console.overview import Overview
from firstcome.errors import DatabaseUnavailable, LaterVersion, LogUnavailable
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId, Engine
from firstcome.settings import Settings

pytestmark = pytest.mark.integration

Connect = Callable[[], postgres.Connection]


def test_a_campaign_of_an_unknown_engine_is_told_and_touched_by_nobody(
    connect: Connect, connection: postgres.Connection
) -> None:
    known, strange = with_one_strange(connect, connection)
    campaigns = Campaigns(connect)

    with pytest.raises(DatabaseUnavailable, match="'pigeon'"):
        campaigns.show(strange)
    assert [each.campaign_id for each in gated(connection)] == [known]
    assert epochs_of(connection) == {known: 0}


async def test_a_campaign_of_an_unknown_engine_is_left_out_of_lists_and_hides_no_other(
    connect: Connect, connection: postgres.Connection, settings: Settings
) -> None:
    known, strange = with_one_strange(connect, connection)
    overview = Overview(connect, partial(GateSession.open, settings.redis), no_log)

    assert [each.campaign_id for each in Campaigns(connect).list()] == [known]
    assert [each.campaign_id for each in overview.read().campaigns] == [known]
    pool = postgres.AsyncPool(settings.postgres)
    try:
        directory = CampaignDirectory(pool)
        assert [each.campaign_id for each in await directory.list()] == [known]
        for _ in range(2):  # from the database, and from what is remembered
            with pytest.raises(LaterVersion, match="'pigeon'"):
                await directory.get(strange)
    finally:
        await pool.close()


def with_one_strange(
    connect: Connect, connection: postgres.Connection
) -> tuple[CampaignId, CampaignId]:
    """Return a campaign, and one whose engine only a later version knows."""
    campaigns = Campaigns(connect)
    known = campaigns.create(name="known", stock=1, engine=Engine.QUEUE, actor="test").campaign_id
    strange = campaigns.create(name="strange", stock=1, actor="test").campaign_id
    change = "UPDATE campaigns SET engine = 'pigeon' WHERE campaign_id = %s"
    connection.execute(change, [strange])
    return known, strange


def no_log() -> Lag:
    """Kafka is away."""
    raise LogUnavailable("away")


def test_epochs_are_read_whatever_state_a_campaign_has(
    connect: Connect, connection: postgres.Connection
) -> None:
    campaign = Campaigns(connect).create(name="raffled", stock=1, engine=Engine.QUEUE, actor="test")
    connection.execute("ALTER TABLE campaigns DROP CONSTRAINT campaigns_state_check")
    connection.execute("UPDATE campaigns SET state = 'RAFFLED'")

    assert epochs_of(connection) == {campaign.campaign_id: 0}
    assert epochs_of(connection, [Engine.QUEUE.value]) == {campaign.campaign_id: 0}
    assert epochs_of(connection, [Engine.KAFKA.value]) == {}
