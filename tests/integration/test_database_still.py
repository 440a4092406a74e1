"""A PostgreSQL that stands still: it keeps none of its own timeouts, and yet everybody hears.

Without limits of ours a read would hang as long as the server, and a cancelled one ten seconds.
"""

import asyncio

import pytest

from firstcome import postgres
from firstcome.campaigns import CampaignDirectory, Campaigns
from firstcome.errors import DatabaseUnavailable
from firstcome.eventlog.events import IssuanceRequested
from firstcome.issuance.compensation import Compensation
from firstcome.issuance.direct import Direct
from firstcome.model import Answer, CampaignId, Engine, Outcome, UserId
from firstcome.settings import DirectSettings
from tests.integration.engines import OwnEngines

pytestmark = [
    pytest.mark.integration,
    # The supervisor of the engines outlives whoever starts it, as it should.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
# Far more than the limits below, far less than what psycopg needs to cancel a statement.
GUARD_SECONDS = 4.0
DIRECT = DirectSettings(
    pool_timeout_seconds=0.3, lock_timeout_seconds=0.3, statement_timeout_seconds=0.4
)
EVENT = IssuanceRequested(1, 1, 1, ["ann"], [], 0.0)


async def test_reads_give_up_and_work_again_when_it_goes_on(own: OwnEngines) -> None:
    pool = postgres.AsyncPool(own.settings.postgres)
    now = 0.0
    directory = CampaignDirectory(pool, 0.3, clock=lambda: now)
    campaigns = Campaigns(lambda: postgres.connect(own.settings.postgres))
    offer(campaigns, Engine.QUEUE)
    known = await directory.list()
    now += 10.0
    with own.stopped("postgres"):
        async with asyncio.timeout(GUARD_SECONDS):
            with pytest.raises(DatabaseUnavailable, match="no answer within"):
                await directory.standing(CampaignId(1), UserId("ann"))
            with pytest.raises(DatabaseUnavailable):
                await directory.coupons_of(UserId("ann"))
            assert await directory.list() == known != [], "the last ones known"
            with pytest.raises(DatabaseUnavailable):
                await directory.get(CampaignId(999_999))
            compensation = Compensation(pool, timeout_seconds=0.3)
            assert await compensation.cancel(EVENT) == frozenset()
    for _ in range(200):
        try:
            assert await directory.coupons_of(UserId("nobody")) == []
            break
        except DatabaseUnavailable:
            await asyncio.sleep(0.1)
    else:
        pytest.fail("the pool never recovered")
    await pool.close()


async def test_claim_of_the_engine_direct_is_answered_with_unknown(own: OwnEngines) -> None:
    campaign_id = offer(Campaigns(lambda: postgres.connect(own.settings.postgres)), Engine.DIRECT)
    sessions = postgres.Statements(own.settings.postgres, DIRECT)
    pool = postgres.AsyncPool(own.settings.postgres)
    direct = Direct(DIRECT, sessions, pool)

    async def ask(user: str) -> Answer:
        heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        direct.claim(campaign_id, UserId(user), 0, heard.set_result)
        return await heard

    assert (await ask("ann")).outcome is Outcome.ISSUED
    with own.stopped("postgres"):
        async with asyncio.timeout(GUARD_SECONDS):
            assert (await ask("bob")).outcome is Outcome.UNKNOWN
            assert await direct.stock_left([campaign_id]) == {}
    await direct.drain()
    await sessions.close()
    await pool.close()


def offer(campaigns: Campaigns, engine: Engine) -> CampaignId:
    """Make a campaign that is open."""
    made = campaigns.create(
        name="still", stock=5, opens_at=None, closes_at=None, engine=engine, actor="test"
    )
    return made.campaign_id
