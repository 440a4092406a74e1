"""Operators' commands on campaigns, the gate's mirror, and the api's directory."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from firstcome import postgres
from firstcome.campaigns import CampaignDirectory, Campaigns, mirror_of
from firstcome.errors import CampaignNotFound, DatabaseUnavailable, Refused
from firstcome.issuance.recorder import Recorder
from firstcome.model import (
    CampaignId,
    CampaignState,
    Engine,
    Outcome,
    Standing,
    Status,
    UserId,
)
from firstcome.settings import RecorderSettings, Settings
from tests.integration.claimed import batch, open_campaign

pytestmark = pytest.mark.integration

Connect = Callable[[], postgres.Connection]
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def campaigns(connect: Connect) -> Campaigns:
    """The commands, with codes that show what they are made of."""
    return Campaigns(connect, lambda campaign_id, position: f"{campaign_id}:{position}")


def record(connect: Connect, *batches: Any) -> None:
    """Record batches."""
    recorder = Recorder(connect, RecorderSettings())
    recorder.record(batches)
    recorder.close()


def test_create_makes_an_open_campaign_and_notes_who_did(
    campaigns: Campaigns, connection: postgres.Connection
) -> None:
    made = campaigns.create(name="tea", stock=5, opens_at=NOON, actor="ann")
    assert (made.state, made.stock, made.position_limit, made.version, made.epoch) == (
        CampaignState.OPEN, 5, 5, 1, 0,
    )  # fmt: skip
    assert (made.opens_at, made.closes_at, made.engine) == (NOON, None, Engine.KAFKA)
    assert campaigns.show(made.campaign_id) == made
    assert campaigns.list() == [made]
    noted = connection.execute("SELECT actor, action, campaign_id FROM audit").fetchall()
    assert noted == [("ann", "campaign.create", made.campaign_id)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"stock": 0}, "stock"),
        ({"stock": 100_000_001}, "stock"),
        ({"opens_at": NOON, "closes_at": NOON}, "before it closes"),
        ({"opens_at": NOON.replace(tzinfo=None)}, "zone"),
    ],
)
def test_create_refuses_what_cannot_be(
    campaigns: Campaigns, connection: postgres.Connection, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        campaigns.create(**({"name": "tea", "stock": 5, "actor": "ann"} | wrong))
    assert connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)


def test_every_change_raises_the_version_and_is_noted(
    campaigns: Campaigns, connection: postgres.Connection
) -> None:
    number = campaigns.create(name="tea", stock=5, opens_at=NOON, actor="ann").campaign_id
    assert campaigns.pause(number, "bob").state is CampaignState.PAUSED
    assert campaigns.resume(number, "bob").state is CampaignState.OPEN
    restocked = campaigns.restock(number, 3, "bob")
    assert (restocked.stock, restocked.position_limit) == (8, 8)
    edited = campaigns.edit(
        number, actor="bob", name="coffee", opens_at=None, closes_at=NOON + timedelta(days=1)
    )
    assert (edited.name, edited.opens_at) == ("coffee", None)
    closed = campaigns.close(number, "bob")
    assert (closed.state, closed.version) == (CampaignState.CLOSED, 6)
    noted = connection.execute(
        "SELECT action, detail->>'version' FROM audit ORDER BY audit_id"
    ).fetchall()
    assert noted == [
        (f"campaign.{action}", str(version))
        for version, action in enumerate(
            ("create", "pause", "resume", "restock", "edit", "close"), 1
        )
    ]


def test_asking_for_what_holds_already_changes_nothing(
    campaigns: Campaigns, connection: postgres.Connection
) -> None:
    made = campaigns.create(name="tea", stock=5, actor="ann")
    assert campaigns.resume(made.campaign_id, "bob") == made
    assert campaigns.edit(made.campaign_id, actor="bob", name="tea") == made
    campaigns.close(made.campaign_id, "bob")
    campaigns.close(made.campaign_id, "bob")
    assert connection.execute("SELECT count(*) FROM audit").fetchone() == (2,)


def test_closed_campaign_refuses_every_change(campaigns: Campaigns) -> None:
    number = campaigns.create(name="tea", stock=5, actor="ann").campaign_id
    campaigns.close(number, "ann")
    changes = [
        lambda: campaigns.pause(number, "ann"),
        lambda: campaigns.resume(number, "ann"),
        lambda: campaigns.restock(number, 1, "ann"),
        lambda: campaigns.edit(number, actor="ann", name="coffee"),
    ]
    for change in changes:
        with pytest.raises(Refused, match="create a new campaign"):
            change()
    assert campaigns.show(number).version == 2


def test_unknown_campaign_is_not_found(campaigns: Campaigns) -> None:
    for ask in (campaigns.show, lambda number: campaigns.pause(number, "ann")):
        with pytest.raises(CampaignNotFound, match="campaign list"):
            ask(CampaignId(77))


def test_restock_beyond_what_positions_can_number_is_refused(campaigns: Campaigns) -> None:
    made = campaigns.create(name="tea", stock=100_000_000, actor="ann")
    with pytest.raises(Refused, match="as large as can be"):
        campaigns.restock(made.campaign_id, 1, "ann")


def test_winners_are_streamed_in_order_without_gaps(
    campaigns: Campaigns,
    connection: postgres.Connection,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firstcome.campaigns.commands.WINNERS_ROWS", 3)
    number = open_campaign(connection)
    record(connect, batch(number, 1, list("abcdef")), batch(number, 7, ["a", "g"]))
    winners = list(campaigns.winners(number))
    assert [(each.position, each.user_id) for each in winners] == [
        (1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f"), (8, "g"),
    ]  # fmt: skip
    assert winners[0].code == f"{number}:1"
    counts = campaigns.counts(number)
    assert counts == (7, 0, 1, 8)


def test_mirror_shows_what_was_decided_above_a_version(
    connection: postgres.Connection, connect: Connect
) -> None:
    number = open_campaign(connection, stock=50)
    record(connect, batch(number, 1, ["a", "b"]))
    record(connect, batch(number, 3, ["a"]))
    record(connect, batch(number, 4, ["b", "c"]))
    connection.execute(
        "INSERT INTO issuances (campaign_id, position, epoch, status, reason, version) "
        "VALUES (%s, 6, 1, 'CANCELLED', 'HOLE', 3)",
        (number,),
    )
    with_all = mirror_of(connection, number, 0)
    assert (with_all.campaign.version, with_all.campaign.position_limit) == (3, 52)
    late = [(4, "b", 2, 0, 3), (6, None, 0, 0, 3)]
    assert with_all.decided == [(3, "a", 1, 0, 3), *late]
    assert mirror_of(connection, number, 2).decided == late
    assert mirror_of(connection, number, 3).decided == []
    with pytest.raises(CampaignNotFound):
        mirror_of(connection, CampaignId(number + 1), 0)


@pytest_asyncio.fixture
async def pool(settings: Settings) -> AsyncIterator[postgres.AsyncPool]:
    """A pool on this test's database."""
    made = postgres.AsyncPool(settings.postgres)
    yield made
    await made.close()


async def test_directory_reads_campaigns_at_most_once_a_second(
    pool: postgres.AsyncPool, campaigns: Campaigns
) -> None:
    now = 100.0
    directory = CampaignDirectory(pool, clock=lambda: now)
    assert await directory.list() == []
    made = campaigns.create(name="tea", stock=5, actor="ann")
    now = 100.9
    assert await directory.list() == []
    now = 101.0
    assert await directory.list() == [made]


async def test_directory_finds_a_new_campaign_after_a_tenth_of_a_second(
    pool: postgres.AsyncPool, campaigns: Campaigns
) -> None:
    now = 100.0
    directory = CampaignDirectory(pool, clock=lambda: now)
    assert await directory.list() == []
    made = campaigns.create(name="tea", stock=5, actor="ann")
    now = 100.09
    assert await directory.get(made.campaign_id) is None
    now = 100.11
    assert await directory.get(made.campaign_id) == made


async def test_directory_keeps_what_it_knows_while_the_database_is_away(
    settings: Settings, campaigns: Campaigns
) -> None:
    made = campaigns.create(name="tea", stock=5, actor="ann")
    now = 0.0
    pool = postgres.AsyncPool(settings.postgres)
    directory = CampaignDirectory(pool, clock=lambda: now)
    await directory.list()
    await pool.close()
    now = 50.0
    assert await directory.list() == [made]
    with pytest.raises(DatabaseUnavailable):
        await CampaignDirectory(pool).list()


async def test_directory_finds_what_a_user_holds(
    pool: postgres.AsyncPool, connection: postgres.Connection, connect: Connect
) -> None:
    first, second = open_campaign(connection), open_campaign(connection)
    record(connect, batch(first, 1, ["a", "b"]), batch(second, 4, ["a", "a"]))
    held = await CampaignDirectory(pool).coupons_of(UserId("a"))
    assert {(each.campaign_id, each.position, each.status) for each in held} == {
        (first, 1, Status.ISSUED),
        (second, 4, Status.ISSUED),
    }
    assert await CampaignDirectory(pool).coupons_of(UserId("z")) == []


async def test_directory_probes_an_index_for_what_a_user_holds(
    connection: postgres.Connection,
) -> None:
    connection.execute(
        "INSERT INTO campaigns (name, engine, stock, position_limit) "
        "SELECT 'n', 'kafka', 5000, 5000 FROM generate_series(1, 3)"
    )
    connection.execute(
        "INSERT INTO issuances (campaign_id, position, epoch, status, user_id) "
        "SELECT c, n, 1, 'ISSUED', 'u' || n FROM generate_series(1, 3) AS c, "
        "generate_series(1, 5000) AS n"
    )
    connection.execute("ANALYZE issuances, campaigns")
    query = "EXPLAIN " + postgres.queries("campaigns")["coupons_of"]
    plan = "\n".join(line for (line,) in connection.execute(query, {"user_id": "u7"}))
    assert "issuances_live_user" in plan
    assert "Seq Scan on issuances" not in plan


async def test_directory_says_where_a_user_stands_from_rows_alone(
    pool: postgres.AsyncPool, connection: postgres.Connection, connect: Connect
) -> None:
    number = open_campaign(connection)
    record(connect, batch(number, 1, ["a"]))
    directory = CampaignDirectory(pool)
    assert await directory.standing(number, UserId("a")) == Standing(Status.ISSUED, 1)
    absent = await directory.standing(number, UserId("b"))
    assert absent.problem is Outcome.UNAVAILABLE
    unknown = await directory.standing(CampaignId(number + 1), UserId("a"))
    assert unknown.problem is Outcome.NOT_FOUND
    connection.execute("UPDATE campaigns SET state = 'ARCHIVED'")
    assert await directory.standing(number, UserId("b")) == Standing(Status.NOT_REQUESTED)
