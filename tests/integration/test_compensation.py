"""Cancel by insert: who comes first decides, and nothing is free before it is given up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import closing

import pytest
import pytest_asyncio

from firstcome import postgres
from firstcome.issuance.compensation import Compensation
from firstcome.issuance.recorder import Recorder
from firstcome.settings import RecorderSettings, Settings
from tests.integration.claimed import announced, batch, end_epoch, numbers_of, open_campaign, rows
from tests.integration.gate_stage import eventually

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def pool(settings: Settings) -> AsyncIterator[postgres.AsyncPool]:
    """A pool on this test's database."""
    made = postgres.AsyncPool(settings.postgres)
    yield made
    await made.close()


async def test_compensation_cancels_and_gives_the_units_back_once(
    pool: postgres.AsyncPool, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection, stock=10)
    event = batch(campaign_id, 1, ["a", "b"]).event
    assert await Compensation(pool).cancel(event) == {1, 2}
    assert await Compensation(pool).cancel(event) == frozenset()
    assert rows(connection, campaign_id) == [(1, "a", "CANCELLED"), (2, "b", "CANCELLED")]
    assert numbers_of(connection, campaign_id) == (12, 2)
    found = connection.execute("SELECT DISTINCT reason, version FROM issuances").fetchall()
    assert found == [("NOT_APPENDED", 2)]


async def test_compensation_leaves_rows_alone_that_were_there_first(
    pool: postgres.AsyncPool,
    connection: postgres.Connection,
    connect: Callable[[], postgres.Connection],
) -> None:
    campaign_id = open_campaign(connection, stock=10)
    with closing(Recorder(connect, RecorderSettings())) as recorder:
        recorder.record([batch(campaign_id, 2, ["b"])])
        late = batch(campaign_id, 1, ["a", "b", "c"])
        assert await Compensation(pool).cancel(late.event) == {1, 3}
        recorded = recorder.record([late])
    assert (recorded.issued, recorded.replayed) == (0, 3)
    assert numbers_of(connection, campaign_id) == (12, 2)
    assert announced(connection, campaign_id) == [2]


async def test_compensation_does_nothing_when_the_epoch_is_over(
    pool: postgres.AsyncPool, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    end_epoch(connection, campaign_id, 1, last=0)
    assert await Compensation(pool).cancel(batch(campaign_id, 1, ["a"]).event) == frozenset()
    assert rows(connection, campaign_id) == []


async def test_compensation_waits_for_a_rebuild_and_then_does_nothing(
    pool: postgres.AsyncPool,
    connection: postgres.Connection,
    connect: Callable[[], postgres.Connection],
) -> None:
    campaign_id = open_campaign(connection)
    with closing(connect()) as rebuild:
        rebuild.execute("SELECT 1 FROM campaigns WHERE campaign_id = %s FOR UPDATE", (campaign_id,))
        cancelling = Compensation(pool, timeout_seconds=0.3)
        assert await cancelling.cancel(batch(campaign_id, 1, ["a"]).event) == frozenset()
        end_epoch(rebuild, campaign_id, 1, last=0)
        rebuild.commit()
    assert rows(connection, campaign_id) == []


async def test_compensation_that_waited_for_a_rebuild_sees_that_its_epoch_is_over(
    pool: postgres.AsyncPool,
    connection: postgres.Connection,
    connect: Callable[[], postgres.Connection],
) -> None:
    campaign_id = open_campaign(connection)
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND application_name = 'firstcome-api' AND datname = current_database()"
    )
    with closing(connect()) as rebuild:
        rebuild.execute("SELECT 1 FROM campaigns WHERE campaign_id = %s FOR UPDATE", (campaign_id,))
        event = batch(campaign_id, 1, ["a"]).event
        cancelling = asyncio.create_task(Compensation(pool, timeout_seconds=5).cancel(event))
        await eventually("it waits", lambda: (connection.execute(waiting).fetchone() or (0,))[0])
        end_epoch(rebuild, campaign_id, 1, last=0)
        rebuild.commit()
        assert await cancelling == frozenset()
    assert rows(connection, campaign_id) == []
    assert numbers_of(connection, campaign_id) == (1000, 1)


async def test_compensation_releases_nobody_when_the_database_is_away(settings: Settings) -> None:
    url = type(settings.postgres.url)("postgresql://127.0.0.1:1/none")
    nowhere = settings.postgres.model_copy(update={"url": url, "pool_timeout_seconds": 0.2})
    pool = postgres.AsyncPool(nowhere)
    assert await Compensation(pool).cancel(batch(1, 1, ["a"]).event) == frozenset()
    await pool.close()
