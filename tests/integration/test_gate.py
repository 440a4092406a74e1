"""The gate of one process: batches, their order, their bounds, and what a new epoch does."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from firstcome.gate import gate, keys, register
from firstcome.gate.gate import AskedClaim, AskedStatus, Failure
from firstcome.gate.session import GateSession
from firstcome.model import Campaign, CampaignId, UserId, Verdict
from firstcome.settings import IntakeSettings
from tests.integration.gate_stage import (
    Door,
    OwnRedis,
    campaign,
    connected,
    eventually,
    fresh_id,
    on_uvloop,
    open_gate,
    own_redis,
    remove,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """A server that these tests maltreat."""
    with own_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def session(server: OwnRedis) -> Iterator[GateSession]:
    """An operator's connection."""
    with GateSession.open(server.settings) as opened:
        yield opened


def few(**intake: int) -> IntakeSettings:
    """Return settings with small bounds."""
    return IntakeSettings(**intake)  # type: ignore[arg-type]


def admitted(judged: list[tuple[str, int]]) -> list[str]:
    """Return who got in, in the order of positions."""
    places = {reply >> 5: user for user, reply in judged if reply & 7 == Verdict.ADMITTED}
    assert sorted(places) == list(range(1, len(places) + 1))
    return [places[position] for position in sorted(places)]


@on_uvloop
async def test_gate_admits_in_the_order_of_arrival_in_bounded_batches(
    server: OwnRedis, session: GateSession
) -> None:
    number = fresh_id()
    open_gate(session, campaign(number, limit=900))
    users = [f"user-{n}" for n in range(1000)]
    async with connected(server.settings) as connection:
        door = Door(connection, few(batch_claims_max=64))
        for user in users:
            assert door.admit(number, user)
        assert door.batches == []  # nothing is sent before this turn of the loop has ended
        judged = await door.all_judged(1000)
    assert [user for user, _ in judged] == users
    assert admitted(judged) == users[:900]
    assert {reply for _, reply in judged[900:]} == {Verdict.SOLD_OUT}
    sizes = [len(batch.claims) for batch in door.batches]
    assert max(sizes) == 64
    assert len(sizes) == 16


@on_uvloop
async def test_gate_sends_what_arrives_while_a_batch_is_under_way_in_the_next_one(
    server: OwnRedis, session: GateSession
) -> None:
    number = fresh_id()
    open_gate(session, campaign(number))
    async with connected(server.settings) as connection:
        door = Door(connection, few(batch_interval_ms=0))
        door.admit(number, "earlier")
        await door.all_judged(1)  # the epoch is known from here on
        door.admit(number, "first")
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # sent by now, and no reply can have been read yet
        for n in range(5):
            door.admit(number, f"later-{n}")
        await door.all_judged(7)
    assert [len(batch.claims) for batch in door.batches] == [1, 1, 5]


@on_uvloop
async def test_gate_refuses_claims_beyond_its_queue(server: OwnRedis, session: GateSession) -> None:
    number = fresh_id()
    open_gate(session, campaign(number))
    async with connected(server.settings) as connection:
        door = Door(connection, few(queue_claims_max=30))
        taken = [door.admit(number, f"user-{n}") for n in range(50)]
        assert taken == [True] * 30 + [False] * 20
        assert door.admit(fresh_id(), "elsewhere")  # each campaign has a queue of its own
        await door.all_judged(31)
        assert door.admit(number, "user-49")
        judged = await door.all_judged(32)
    assert len(admitted(judged)) == 31


@on_uvloop
async def test_gate_answers_a_full_queue_while_redis_is_away(server: OwnRedis) -> None:
    async with connected(server.settings) as connection:
        door = Door(connection, few(batch_claims_max=1, queue_claims_max=20_000))
        server.kill()
        await eventually("the loss", lambda: connection.run_id is None)
        number = fresh_id()
        for n in range(20_000):
            assert door.admit(number, f"user-{n}")
        judged = await door.all_judged(20_000)
        assert {reply for _, reply in judged} == {-1}
        server.start()


@on_uvloop
async def test_gate_that_is_shut_or_absent_admits_nobody(
    server: OwnRedis, session: GateSession
) -> None:
    absent, shut, old = fresh_id(), fresh_id(), fresh_id()
    register.shut(session, shut, "shut:1:token")
    open_gate(session, campaign(old))
    session.call("HSET", keys.gate(old), "epoch", keys.epoch_field(1, "0" * 40))
    async with connected(server.settings) as connection:
        door = Door(connection, few())
        for number in (absent, shut, old):
            door.admit(number, "user")
        judged = await door.all_judged(3)
        assert [reply for _, reply in judged] == [-1] * 3
        assert {batch.campaign_id for batch in door.batches if batch.failure.absent} == {absent}  # type: ignore[union-attr]
        assert await door.gate.stock_left([absent, shut, old]) == {}
        # It opens: nobody has to wait longer than what was remembered.
        open_gate(session, campaign(shut, limit=9))
        await eventually("the opening", lambda: _admitted(door, shut))
        assert await door.gate.stock_left([absent, shut]) == {shut: 8}


def _admitted(door: Door, number: CampaignId) -> bool:
    door.admit(number, "user")
    return any(
        reply & 7 == Verdict.ADMITTED
        for batch in door.batches
        if batch.campaign_id == number
        for reply in batch.replies
    )


@on_uvloop
async def test_new_epoch_in_mid_traffic_neither_loses_nor_repeats_a_claim(
    server: OwnRedis, session: GateSession
) -> None:
    number, users = fresh_id(), [f"user-{n}" for n in range(3000)]
    of = campaign(number, limit=10_000)
    open_gate(session, of)
    async with connected(server.settings) as connection:
        door = Door(connection, few(batch_claims_max=50))
        for n, user in enumerate(users):
            assert door.admit(number, user)
            if n % 500 == 499:
                await eventually("some", lambda: len(door.judged) > n - 200)  # noqa: B023
                of = _next_epoch(session, of)
        users.append("last")
        door.admit(number, "last")
        judged = await door.all_judged(3001)
        assert door.gate.epoch(number).number == of.epoch  # type: ignore[union-attr]
    assert admitted(judged) == users
    assert {batch.epoch for batch in door.batches if batch.failure is None} == set(range(1, 8))


def _next_epoch(session: GateSession, of: Campaign) -> Campaign:
    """Shut the gate, copy what it holds to the next epoch, open it."""
    number, token = of.campaign_id, "shut:1:token"
    register.shut(session, number, token)
    last = register.read(session, number).position_last
    loader = register.Loader(session, number, of.epoch + 1, 7)
    for bucket in range(7):
        flat: Any = session.call("HGETALL", f"{keys.users_prefix(number, of.epoch)}{bucket}")
        for user, position in zip(flat[::2], flat[1::2], strict=True):
            loader.add(int(position), UserId(user.decode()), 0, 0)
    loader.finish()
    of = of._replace(epoch=of.epoch + 1)
    assert register.switch(session, of, token, buckets=7, position_last=last)
    return of


@on_uvloop
async def test_restarted_redis_that_kept_its_gate_admits_nobody(
    server: OwnRedis, session: GateSession
) -> None:
    """The last second of its file may be missing: positions would be given twice."""
    number = fresh_id()
    open_gate(session, campaign(number))
    async with connected(server.settings) as connection:
        door, told = Door(connection, few()), list[object]()
        door.admit(number, "before")
        await door.all_judged(1)
        asked = AskedStatus(UserId("before"), told.append)
        session.call("WAITAOF", 1, 0, 5000)  # the gate has reached the disk
        server.kill()
        server.start()
        await eventually("another life", lambda: connection.run_id not in (None, session.run_id))
        with GateSession.open(server.settings) as later:
            assert register.read(later, number).field == keys.epoch_field(1, session.run_id)
            door.admit(number, "after")
            assert door.gate.status(number, asked)
            judged = await door.all_judged(2)
            assert judged[1] == ("after", -1)
            await eventually("a status", lambda: told)
            assert isinstance(told[0], Failure)
            assert await door.gate.stock_left([number]) == {}
            assert register.read(later, number).position_last == 1
            remove(later, number)


@on_uvloop
async def test_stopped_redis_leaves_claims_unknown_and_nothing_else(
    server: OwnRedis, session: GateSession
) -> None:
    number = fresh_id()
    open_gate(session, campaign(number))
    quick = server.settings.model_copy(update={"call_timeout_seconds": 0.2})
    async with connected(quick) as connection:
        door = Door(connection, few())
        door.admit(number, "before")
        await door.all_judged(1)
        with server.stopped():
            door.admit(number, "sent")
            judged = await door.all_judged(2)
            assert judged[1] == ("sent", -2)
            door.admit(number, "refused")
            judged = await door.all_judged(3)
            assert judged[2] == ("refused", -1)
        # What was sent is done once Redis goes on: the place is taken, and kept for its user.
        await eventually(
            "the place", lambda: register.read(session, number).position_last, lambda n: n == 2
        )
        await eventually("a connection", lambda: connection.run_id)
        await eventually("a verdict", lambda: _repeat(door, number), lambda reply: reply > 0)
        assert _repeat(door, number) == 2 * 32 + Verdict.DUPLICATE


def _repeat(door: Door, number: CampaignId) -> int:
    door.admit(number, "sent")
    return door.judged[-1][1]


@on_uvloop
async def test_gate_goes_on_when_whoever_it_tells_fails(
    server: OwnRedis, session: GateSession
) -> None:
    number, absent, verdicts = fresh_id(), fresh_id(), list[object]()
    open_gate(session, campaign(number))

    def break_down(heard: object) -> None:
        verdicts.append(heard)
        raise RuntimeError("planted")

    async with connected(server.settings) as connection:
        broken = gate.Gate(connection, few(), break_down)
        for count in range(1, 4):
            for campaign_id in (number, absent):
                claim = AskedClaim(UserId(f"user-{count}"), 0, lambda _: None)
                assert broken.admit(campaign_id, claim)
            await eventually("verdicts", lambda n=count: len(verdicts) == 2 * n)
        told: list[object] = []
        for reply in (break_down, told.append, break_down, told.append):
            broken.status(number, AskedStatus(UserId("user-1"), reply))
        await eventually("statuses", lambda: len(told) == 2)
        assert told == [1 * 4, 1 * 4]


@on_uvloop
async def test_invented_campaigns_cost_no_memory(
    server: OwnRedis, session: GateSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "ENTRANCES_MAX", 100)
    number, invented = fresh_id(), fresh_id()
    open_gate(session, campaign(number))
    async with connected(server.settings) as connection:
        door = Door(connection, few())
        door.admit(number, "user")
        await door.all_judged(1)
        for step in range(20):
            for n in range(60):
                door.admit(CampaignId(invented + step * 60 + n), "user")
            await door.all_judged(1 + (step + 1) * 60)
            assert len(door.gate._entrances) <= 160
        assert door.gate.epoch(number)  # what exists is not forgotten
