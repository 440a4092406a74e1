"""Links between clients and a server that repeats what it hears: each way of breaking."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from firstcome.drill import disturbances
from firstcome.drill.faults import Missed
from firstcome.drill.link import Link, free_ports
from firstcome.drill.links import linked

pytestmark = pytest.mark.unit


def test_ports_are_given_once() -> None:
    for _ in range(20):
        assert len(set(free_ports(60))) == 60


class Echo:
    """A server that answers each chunk with the same chunk, and remembers all of them."""

    def __init__(self) -> None:
        self.heard = b""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                self.heard += chunk
                writer.write(chunk)
        writer.close()


class Client:
    """One connection through a link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def ask(self, request: bytes, seconds: float = 2.0) -> bytes:
        self.writer.write(request)
        return await asyncio.wait_for(self._reader.read(65_536), seconds)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    server = Echo()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def link(echo: Echo) -> AsyncIterator[Link]:
    made = Link("api.redis", *free_ports(1), lambda: echo.port, Random(1))
    await made.heal()
    yield made
    await made.close()


@pytest.fixture
async def client(link: Link) -> AsyncIterator[Client]:
    made = await connected(link)
    yield made
    await made.close()


async def connected(link: Link) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", link.port))


async def test_link_passes_both_ways_and_counts(link: Link, client: Client) -> None:
    assert await client.ask(b"hello") == b"hello"
    seen = link.counters
    assert (seen.connections, seen.bytes_up, seen.bytes_down) == (1, 5, 5)


async def test_link_loses_nothing_of_a_long_transfer(client: Client) -> None:
    sent = Random(1).randbytes(3_000_000)
    client.writer.write(sent)
    assert await asyncio.wait_for(client._reader.readexactly(len(sent)), 10) == sent


async def test_slow_link_delays_both_ways(link: Link, client: Client) -> None:
    await link.slow(0.05, jitter_seconds=0.01)
    began = time.monotonic()
    assert await client.ask(b"hello") == b"hello"
    assert time.monotonic() - began >= 0.1
    assert link.counters.delayed == 2


async def test_frozen_link_forwards_nothing_until_healed(
    link: Link, client: Client, echo: Echo
) -> None:
    await link.freeze()
    with pytest.raises(TimeoutError):
        await client.ask(b"hello", seconds=0.1)
    assert echo.heard == b""
    await link.heal()
    assert await client.ask(b"", seconds=2) == b"hello"
    assert link.counters.held >= 1


async def test_cut_link_closes_and_lets_the_next_one_pass(link: Link, client: Client) -> None:
    await client.ask(b"hello")
    await link.cut()
    assert await client.ask(b"") == b""
    assert link.counters.cuts == 1
    again = await connected(link)
    assert await again.ask(b"again") == b"again"
    await again.close()


async def test_reset_link_sends_rst(link: Link, client: Client) -> None:
    await client.ask(b"hello")
    await link.reset()
    with pytest.raises(ConnectionResetError):
        await client.ask(b"")
    assert link.counters.resets == 1


async def test_refusing_link_has_no_listener_until_healed(link: Link, client: Client) -> None:
    await client.ask(b"hello")
    await link.refuse()
    assert await client.ask(b"") == b""
    with pytest.raises(ConnectionRefusedError):
        await connected(link)
    await link.heal()
    again = await connected(link)
    assert await again.ask(b"again") == b"again"
    await again.close()


async def test_dropped_reply_is_that_of_the_request_named(
    link: Link, client: Client, echo: Echo
) -> None:
    await link.drop_reply(b"COMMIT")
    assert await client.ask(b"INSERT") == b"INSERT"
    assert await client.ask(b"COMMIT") == b""
    assert echo.heard == b"INSERTCOMMIT", "the request must have been executed"
    assert link.counters.replies_dropped == 1
    again = await connected(link)
    assert await again.ask(b"COMMIT") == b"COMMIT", "only once"
    await again.close()


async def test_cut_after_some_bytes_forwards_exactly_these(
    link: Link, client: Client, echo: Echo
) -> None:
    await link.cut_after(8)
    assert await client.ask(b"hello") == b"hello"
    await client.ask(b"hello")
    assert echo.heard == b"hellohel"
    assert link.counters.torn == 1


async def test_link_without_an_engine_ends_its_clients(link: Link, echo: Echo) -> None:
    await echo.stop()
    client = await connected(link)
    with pytest.raises(ConnectionResetError):
        await client.ask(b"hello")
    await client.close()
    assert link.counters.unreachable == 1


def test_links_find_their_engines_in_the_stacks_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as engine, linked(tmp_path) as links:
        (shape,) = [json.loads(text) for text in links.options() if text != "--shape"]
        assert shape["links"].keys() == {
            f"{role}.{engine}"
            for role in ("api", "recorder", "sweeper")
            for engine in ("redis", "postgres", "kafka-1")
        } | {"relay.postgres", "relay.kafka-1"}
        port = engine.getsockname()[1]
        (tmp_path / "identity.json").write_text(json.dumps({"ports": {"kafka-1-api": port}}))
        link = links["api.kafka-1"]
        with socket.create_connection(("127.0.0.1", link.port), 2) as client:
            client.sendall(b"hello")
            accepted, _ = engine.accept()
            assert accepted.recv(5) == b"hello"
            links.run(link.cut())
            assert client.recv(5) == b""
            accepted.close()
        assert links.counters()["api.kafka-1"].cuts == 1
        assert [each.name for each in links.to("kafka")] == [
            f"{role}.kafka-1" for role in ("api", "recorder", "sweeper", "relay")
        ]


def test_disturbance_of_an_unused_link_is_a_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disturbances, "HIT_SECONDS", 0.05)
    with linked(tmp_path) as links:
        fault = disturbances.disturbance(links, "api.redis", "cut", Random(1))
        with pytest.raises(Missed, match="met no traffic"):
            fault.inject()


def test_every_busy_link_can_be_disturbed_in_every_way(tmp_path: Path) -> None:
    with linked(tmp_path) as links:
        moves = disturbances.moves(links)
        assert {move.target for move in moves} == {
            *("api.redis", "api.kafka-1"),
            *("recorder.redis", "recorder.kafka-1", "recorder.postgres"),
            *("relay.kafka-1", "relay.postgres"),
        }
        kinds = {move.kind for move in moves if move.target == "recorder.postgres"}
        # A recorder appends nothing, so no reply to an append of its can be lost.
        assert len(kinds) * 7 - 1 == len(moves)
        assert ("reply lost", "recorder.kafka-1") not in {(m.kind, m.target) for m in moves}
        assert {move.kind for move in moves if move.lasts} == {"slow", "frozen", "refusing"}
        # Beside Debezium the relay appends nothing either.
        beside = {(m.kind, m.target) for m in disturbances.moves(links, "debezium")}
        assert {(m.kind, m.target) for m in moves} - beside == {("reply lost", "relay.kafka-1")}
