"""The hot connection: whatever happens to Redis, no reply ever reaches another one's caller."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import hiredis
import pytest
from pydantic import SecretStr

from firstcome.errors import GateUnavailable
from firstcome.gate import keys
from firstcome.gate.connection import GateConnection
from firstcome.gate.session import GateSession
from firstcome.settings import RedisSettings
from tests.integration.gate_stage import (
    OwnRedis,
    campaign,
    connected,
    eventually,
    fresh_id,
    on_uvloop,
    open_gate,
    own_redis,
)

pytestmark = pytest.mark.integration

CALL_SECONDS = 0.3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """A server that these tests maltreat."""
    with own_redis(tmp_path_factory.mktemp("redis")) as running:
        running.settings = running.settings.model_copy(
            update={"call_timeout_seconds": CALL_SECONDS}
        )
        yield running


class Echoes:
    """Many distinct calls, and what each caller heard."""

    def __init__(self, connection: GateConnection) -> None:
        self.connection = connection
        self.sent = 0
        self.heard: dict[int, list[object]] = {}
        self.last_at = 0.0

    def send(self, count: int) -> None:
        """Send calls whose reply names its caller."""
        for _ in range(count):
            self.sent += 1
            self.connection.call(("ECHO", str(self.sent)), partial(self._hear, self.sent))

    def _hear(self, number: int, reply: object) -> None:
        self.heard.setdefault(number, []).append(reply)
        self.last_at = monotonic()

    async def all_heard(self) -> None:
        """Wait for all, and see that each caller heard once, and only what was his."""
        await eventually("answers", lambda: len(self.heard), lambda seen: seen == self.sent)
        for number, replies in self.heard.items():
            assert len(replies) == 1
            assert isinstance(replies[0], GateUnavailable) or replies == [str(number).encode()]

    def failures(self) -> list[GateUnavailable]:
        """Return what those heard who got no reply."""
        return [r for (r,) in self.heard.values() if isinstance(r, GateUnavailable)]


def gate_names(session: GateSession) -> tuple[list[str], list[str | int]]:
    """Open a gate; return the keys and arguments of a status read."""
    number = fresh_id()
    open_gate(session, campaign(number), buckets=1)
    names = [keys.gate(number), keys.settled(number, 1), f"{keys.users_prefix(number, 1)}0"]
    return names, [keys.epoch_field(1, session.run_id), "nobody", 3]


@on_uvloop
async def test_callers_hear_their_own_replies(server: OwnRedis) -> None:
    async with connected(server.settings) as connection:
        echoes = Echoes(connection)
        for _ in range(20):
            echoes.send(50)
            await asyncio.sleep(0)
        await echoes.all_heard()
        assert not echoes.failures()


@on_uvloop
async def test_scripts_are_given_again_to_a_server_that_forgot_them(server: OwnRedis) -> None:
    with GateSession.open(server.settings) as session:
        names, args = gate_names(session)
        async with connected(server.settings) as connection:
            replies: list[object] = []
            echoes = Echoes(connection)
            for turn in range(10):
                if turn in (3, 7):
                    session.call("SCRIPT", "FLUSH")
                for _ in range(10):
                    connection.script("status", names, args, replies.append)
                    echoes.send(1)
                await eventually("replies", lambda n=turn: len(replies) == 10 * n + 10)
            await echoes.all_heard()
            assert replies == [[0]] * 100
            assert not echoes.failures()


@on_uvloop
async def test_script_that_redis_refuses_is_refused_for_certain(server: OwnRedis) -> None:
    with GateSession.open(server.settings) as session:
        names, args = gate_names(session)
        session.call("DEL", names[0])
        session.call("SET", names[0], "no hash")
        async with connected(server.settings) as connection:
            replies: list[object] = []
            connection.script("status", names, args, replies.append)
            await eventually("a reply", lambda: replies)
            assert isinstance(replies[0], hiredis.ReplyError)


@on_uvloop
async def test_connection_comes_back_after_it_was_cut(server: OwnRedis) -> None:
    async with connected(server.settings) as connection:
        echoes = Echoes(connection)
        first = connection.run_id
        with GateSession.open(server.settings) as session:
            echoes.send(200)
            session.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            echoes.send(200)
        await echoes.all_heard()
        await eventually("a connection", lambda: connection.run_id)
        assert connection.run_id == first
        assert all(not failure.certain for failure in echoes.failures())
        echoes.send(10)
        await echoes.all_heard()


@on_uvloop
async def test_connection_learns_that_redis_has_another_life(server: OwnRedis) -> None:
    async with connected(server.settings) as connection:
        echoes, first = Echoes(connection), connection.run_id
        echoes.send(100)
        server.kill()
        await eventually("the loss", lambda: connection.run_id is None)
        echoes.send(5)
        await echoes.all_heard()
        assert [failure.certain for failure in echoes.failures()[-5:]] == [True] * 5
        server.start()
        await eventually("a connection", lambda: connection.run_id)
        assert connection.run_id != first
        echoes.send(10)
        await echoes.all_heard()


@on_uvloop
async def test_callers_of_a_stopped_redis_hear_unknown_in_time(server: OwnRedis) -> None:
    async with connected(server.settings) as connection:
        echoes = Echoes(connection)
        with server.stopped():
            began = monotonic()
            echoes.send(300)
            await echoes.all_heard()
            assert CALL_SECONDS <= echoes.last_at - began < CALL_SECONDS + 1.0
            assert len(echoes.failures()) == 300
            assert not any(failure.certain for failure in echoes.failures())
            echoes.send(7)  # not sent to a connection that is given up
            await echoes.all_heard()
            assert sum(failure.certain for failure in echoes.failures()) == 7
        await eventually("a connection", lambda: connection.run_id)
        # What Redis did late was thrown away with its connection.
        echoes.send(300)
        await echoes.all_heard()
        assert len(echoes.failures()) == 307


@on_uvloop
async def test_calls_in_flight_are_bounded(server: OwnRedis) -> None:
    few = server.settings.model_copy(update={"calls_in_flight_max": 20})
    async with connected(few) as connection:
        echoes = Echoes(connection)
        with server.stopped():
            echoes.send(50)
            assert len(echoes.failures()) == 30
            assert all(failure.certain for failure in echoes.failures())
        await echoes.all_heard()
        assert len(echoes.failures()) == 30


@on_uvloop
async def test_callback_that_raises_harms_nobody(server: OwnRedis) -> None:
    def break_down(_: object) -> None:
        raise RuntimeError("planted")

    async with connected(server.settings) as connection:
        echoes = Echoes(connection)
        for _ in range(5):
            echoes.send(3)
            connection.call(("PING",), break_down)
        echoes.send(3)
        await echoes.all_heard()
        assert not echoes.failures()
        with server.stopped():
            connection.call(("PING",), break_down)
            echoes.send(3)
            await echoes.all_heard()
            assert len(echoes.failures()) == 3


@pytest.mark.parametrize("why", ["wrong password", "nobody listens"])
@on_uvloop
async def test_calls_are_refused_for_certain_without_a_connection(
    server: OwnRedis, why: str, tmp_path: Path
) -> None:
    nobody = f"unix://{tmp_path}/none"
    url = nobody if why == "nobody listens" else server.url("wrong")
    settings = RedisSettings(url=SecretStr(url))
    async with connected(settings, wait=False) as connection:
        echoes = Echoes(connection)
        for _ in range(10):
            echoes.send(1)
            await asyncio.sleep(0.01)
        await echoes.all_heard()
        assert [failure.certain for failure in echoes.failures()] == [True] * 10
        assert connection.run_id is None
    with pytest.raises(GateUnavailable) as refused:
        GateSession.open(settings)
    assert refused.value.certain


@on_uvloop
async def test_connection_waits_while_redis_loads_its_data(server: OwnRedis) -> None:
    with GateSession.open(server.settings) as session:
        session.pipeline([("SET", f"key-{number}", "") for number in range(600)])
        session.call("BGREWRITEAOF")
        is_done = b"aof_rewrite_in_progress:0"
        await eventually("a rewrite", lambda: is_done in session.call("INFO", "persistence"))  # type: ignore[operator]
    server.kill()
    # A millisecond a key.
    server.begin("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    async with connected(server.settings, wait=False) as connection:

        def refusal() -> str:
            try:
                GateSession.open(server.settings).close()
            except GateUnavailable as error:
                return f"{error}" if error.certain else "uncertain"
            return ""

        await eventually("a server that loads", refusal, lambda said: "LOADING" in said)
        assert connection.run_id is None
        echoes = Echoes(connection)
        echoes.send(1)
        assert [failure.certain for failure in echoes.failures()] == [True]
        await eventually("a connection", lambda: connection.run_id)
        echoes.send(9)
        await echoes.all_heard()
        assert len(echoes.failures()) == 1


@on_uvloop
async def test_connection_closes_at_once_while_redis_is_away(server: OwnRedis) -> None:
    for is_quick in (True, False):
        async with connected(server.settings) as connection:
            server.kill()
            await eventually("the loss", lambda c=connection: c.run_id is None)
            if not is_quick:
                await asyncio.sleep(0.2)  # some tries later
            began = monotonic()
        assert monotonic() - began < 0.9
        server.start()


@on_uvloop
async def test_closing_tells_everybody_who_waits(server: OwnRedis) -> None:
    with server.stopped():
        connection = GateConnection(server.settings, on_connected=lambda: None)
        connection.start()
        await connection.close()
    async with connected(server.settings) as connection:
        echoes = Echoes(connection)
        with server.stopped():
            echoes.send(10)
            await connection.close()
        await echoes.all_heard()
        assert len(echoes.failures()) == 10


@on_uvloop
async def test_closing_ends_also_when_the_connection_is_lost_in_that_moment(
    server: OwnRedis,
) -> None:
    for turns in range(8):
        async with asyncio.timeout(2), connected(server.settings) as connection:
            assert connection._wire is not None
            connection._wire.abort()
            for _ in range(turns):
                await asyncio.sleep(0)


@on_uvloop
async def test_late_end_of_an_earlier_connection_does_not_touch_the_new_one(
    server: OwnRedis,
) -> None:
    async with connected(server.settings) as connection:
        earlier = connection._wire
        assert earlier is not None
        earlier.abort()
        await eventually("another", lambda: connection._wire is not earlier and connection.run_id)
        earlier.connection_lost(None)
        assert connection.run_id
