"""What a later version writes of a campaign does not take everything else down."""

from collections.abc import Callable

import pytest

from firstcome import postgres
from firstcome.campaigns import Campaigns
from firstcome.campaigns.rows import epochs_of, gated
from firstcome.errors import DatabaseUnavailable
from firstcome.model import Engine

pytestmark = pytest.mark.integration

Connect = Callable[[], postgres.Connection]


def test_a_campaign_of_an_unknown_engine_is_told_and_touched_by_nobody(
    connect: Connect, connection: postgres.Connection
) -> None:
    campaigns = Campaigns(connect)
    known = campaigns.create(name="known", stock=1, engine=Engine.QUEUE, actor="test").campaign_id
    strange = campaigns.create(name="strange", stock=1, actor="test").campaign_id
    change = "UPDATE campaigns SET engine = 'pigeon' WHERE campaign_id = %s"
    connection.execute(change, [strange])

    with pytest.raises(DatabaseUnavailable, match="'pigeon'"):
        campaigns.show(strange)
    assert [each.campaign_id for each in gated(connection)] == [known]
    assert epochs_of(connection) == {known: 0}


def test_epochs_are_read_whatever_state_a_campaign_has(
    connect: Connect, connection: postgres.Connection
) -> None:
    campaign = Campaigns(connect).create(name="raffled", stock=1, engine=Engine.QUEUE, actor="test")
    connection.execute("ALTER TABLE campaigns DROP CONSTRAINT campaigns_state_check")
    connection.execute("UPDATE campaigns SET state = 'RAFFLED'")

    assert epochs_of(connection) == {campaign.campaign_id: 0}
    assert epochs_of(connection, [Engine.QUEUE.value]) == {campaign.campaign_id: 0}
    assert epochs_of(connection, [Engine.KAFKA.value]) == {}
