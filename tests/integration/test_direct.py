"""The engine `direct` on a real database: who gets a coupon, who hears what, and how often."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import pytest_asyncio

from firstcome import postgres
from firstcome.campaigns import CampaignDirectory, Campaigns
from firstcome.issuance.direct import Direct
from firstcome.issuance.engines import Engines
from firstcome.laws.laws import Laws
from firstcome.metrics import catalogue
from firstcome.model import Answer, Campaign, CampaignId, Engine, Outcome, Status, UserId
from firstcome.settings import DirectSettings, Settings
from tests.integration.gate_stage import eventually

pytestmark = pytest.mark.integration

Connect = Callable[[], postgres.Connection]
NOBODY = CampaignId(999)
VARIANTS = ("locked", "conditional")


class Shop:
    """The engine, behind the choice of engines, and claims of it."""

    def __init__(self, settings: Settings, direct: DirectSettings) -> None:
        self.sessions = postgres.Statements(settings.postgres, direct)
        self.pool = postgres.AsyncPool(settings.postgres)
        self.direct = Direct(direct, self.sessions, self.pool)
        self.engines = Engines(
            {Engine.DIRECT: self.direct}, CampaignDirectory(self.pool), direct.queue_claims_max
        )

    async def ask(self, campaign_id: CampaignId, user: str, attempt: int = 0) -> Answer:
        """Claim, and wait for the answer."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.engines.claim(campaign_id, UserId(user), attempt, answer.set_result)
        return await answer

    async def close(self) -> None:
        """Wait for what is under way and close every session."""
        await self.engines.drain()
        await self.sessions.close()
        await self.pool.close()


@pytest.fixture
def campaigns(connect: Connect) -> Campaigns:
    """The operators' commands."""
    return Campaigns(connect)


@pytest.fixture(params=VARIANTS)
def direct(request: pytest.FixtureRequest) -> DirectSettings:
    """Both ways to take a position."""
    return DirectSettings(variant=request.param, lock_timeout_seconds=0.3)


@pytest_asyncio.fixture
async def shop(settings: Settings, direct: DirectSettings) -> AsyncIterator[Shop]:
    """An open shop."""
    opened = Shop(settings, direct)
    yield opened
    await opened.close()


def opened(campaigns: Campaigns, stock: int, **times: datetime) -> CampaignId:
    """Make a campaign of this engine."""
    made: Campaign = campaigns.create(
        name="direct", stock=stock, engine=Engine.DIRECT, actor="ann", **times
    )
    return made.campaign_id


async def test_everybody_asks_at_once_and_exactly_the_stock_is_issued(
    campaigns: Campaigns, shop: Shop, settings: Settings
) -> None:
    number = opened(campaigns, 40)
    asked = [shop.ask(number, f"user-{n % 90}") for n in range(180)]
    answers = await asyncio.gather(*asked)
    told = Counter(answer.outcome for answer in answers)
    assert told[Outcome.ISSUED] == 40
    assert set(told) <= {Outcome.ISSUED, Outcome.OUT_OF_STOCK, Outcome.DUPLICATE}
    issued = sorted(answer.position for answer in answers if answer.outcome is Outcome.ISSUED)
    assert issued == list(range(1, 41))
    assert await shop.direct.stock_left([number]) == {number: 0}
    assert [law for law in Laws(settings).check([number]) if not law.held] == []


async def test_same_key_hears_the_same_and_another_request_is_a_duplicate(
    campaigns: Campaigns, shop: Shop
) -> None:
    number = opened(campaigns, 1)
    first = await shop.ask(number, "ann", 7)
    assert first == Answer(Outcome.ISSUED, 1, Status.ISSUED)
    assert await shop.ask(number, "ann", 7) == first._replace(replayed=True)
    for attempt in (0, 8):
        assert await shop.ask(number, "ann", attempt) == Answer(Outcome.DUPLICATE, 1, Status.ISSUED)
    assert (await shop.ask(number, "bob")).outcome is Outcome.OUT_OF_STOCK


async def test_duplicate_takes_no_position(campaigns: Campaigns, shop: Shop) -> None:
    number = opened(campaigns, 3)
    told = [await shop.ask(number, user) for user in ("ann", "ann", "bob", "ann", "eve")]
    assert [answer.position for answer in told] == [1, 1, 2, 1, 3]


async def test_refusals_name_their_reason(campaigns: Campaigns, shop: Shop) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    earlier = datetime.now(UTC) - timedelta(hours=1)
    told = {}
    told["paused"] = opened(campaigns, 1)
    campaigns.pause(told["paused"], actor="ann")
    told["closed"] = opened(campaigns, 1)
    campaigns.close(told["closed"], actor="ann")
    told["early"] = opened(campaigns, 1, opens_at=later)
    told["late"] = opened(campaigns, 1, closes_at=earlier)
    heard = {name: (await shop.ask(number, "ann")).outcome for name, number in told.items()}
    assert heard == {
        "paused": Outcome.NOT_OPEN,
        "closed": Outcome.CLOSED,
        "early": Outcome.NOT_OPEN,
        "late": Outcome.CLOSED,
    }
    assert (await shop.ask(NOBODY, "ann")).outcome is Outcome.NOT_FOUND
    assert await shop.direct.stock_left([NOBODY]) == {}


async def test_restock_and_resume_count_at_once(campaigns: Campaigns, shop: Shop) -> None:
    number = opened(campaigns, 1)
    assert (await shop.ask(number, "ann")).outcome is Outcome.ISSUED
    campaigns.restock(number, 1, actor="ann")
    assert (await shop.ask(number, "bob")) == Answer(Outcome.ISSUED, 2, Status.ISSUED)


async def test_claim_that_waits_too_long_for_the_row_is_refused_and_counted(
    campaigns: Campaigns, shop: Shop, connection: postgres.Connection
) -> None:
    number = opened(campaigns, 1)
    before = catalogue.DIRECT_REFUSALS.of(catalogue.LOCK_TIMEOUT).now()
    with postgres.transaction(connection):
        connection.execute(
            "SELECT FROM campaigns WHERE campaign_id = %s FOR NO KEY UPDATE", [number]
        )
        assert (await shop.ask(number, "ann")).outcome is Outcome.UNAVAILABLE
    assert shop.direct.refused_by == {catalogue.LOCK_TIMEOUT: 1}
    counted = catalogue.DIRECT_REFUSALS.of(catalogue.LOCK_TIMEOUT)
    assert counted.now() == before + 1
    assert (await shop.ask(number, "ann")).outcome is Outcome.ISSUED


async def test_whoever_looks_waits_for_no_claim_and_takes_no_session_from_one(
    campaigns: Campaigns, settings: Settings, connection: postgres.Connection
) -> None:
    number = opened(campaigns, 3)
    small = DirectSettings(lock_timeout_seconds=5, pool_connections_max=1, pool_timeout_seconds=0.2)
    shop = Shop(settings, small)
    assert (await shop.ask(number, "first")).outcome is Outcome.ISSUED
    with postgres.transaction(connection):
        connection.execute(
            "SELECT FROM campaigns WHERE campaign_id = %s FOR NO KEY UPDATE", [number]
        )
        waiting = asyncio.create_task(shop.ask(number, "ann"))
        await eventually("ann has the session", lambda: shop.sessions.state.idle == 0)
        assert await shop.direct.stock_left([number]) == {number: 2}
        assert (await shop.ask(number, "bob")).outcome is Outcome.UNAVAILABLE
        assert not waiting.done()
    assert shop.direct.refused_by == {catalogue.NO_SESSION: 1}
    assert (await waiting).outcome is Outcome.ISSUED
    await shop.close()


async def test_claims_beyond_the_queue_are_refused_at_once(
    campaigns: Campaigns, settings: Settings
) -> None:
    number = opened(campaigns, 10)
    small = Shop(settings, DirectSettings(queue_claims_max=2))
    assert (await small.ask(number, "first")).outcome is Outcome.ISSUED
    told = await asyncio.gather(*(small.ask(number, f"u{n}") for n in range(5)))
    await small.close()
    assert [answer.outcome for answer in told[2:]] == [Outcome.UNAVAILABLE] * 3


async def test_session_that_breaks_in_mid_claim_leaves_the_outcome_unknown(
    campaigns: Campaigns, shop: Shop, connection: postgres.Connection
) -> None:
    number = opened(campaigns, 5)
    assert (await shop.ask(number, "ann")).outcome is Outcome.ISSUED
    numbers = count()
    with postgres.transaction(connection):
        connection.execute("SELECT FROM campaigns FOR NO KEY UPDATE")
        asked = asyncio.create_task(shop.ask(number, "bob", 7))
        while not connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = 'firstcome-direct' AND wait_event_type = 'Lock'"
        ).fetchone() > (0,):
            assert next(numbers) < 1000
            await asyncio.sleep(0.002)
        answer = await asked
    assert answer.outcome is Outcome.UNKNOWN
    assert (await shop.ask(number, "bob", 7)).outcome is Outcome.ISSUED
