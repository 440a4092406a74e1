"""Limits and deadlines of the express lane: what is too large, too much or too slow."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from express_stage import (
    HELD,
    Stage,
    Wire,
    eventually,
    request,
    serving,
    settings_of,
)

pytestmark = pytest.mark.integration

JSON = "content-type: application/json"


@pytest.fixture(scope="module")
def patient() -> Iterator[Stage]:
    with serving() as stage:
        yield stage
        assert not stage.parts.held


@pytest.fixture(scope="module")
def hasty() -> Iterator[Stage]:
    with serving(settings_of(receive_timeout_seconds=1.0, keep_alive_seconds=1.6)) as stage:
        yield stage


# Limits


@pytest.mark.parametrize(
    "head",
    [
        request("GET", "/v1/campaigns", "cookie: " + "c" * 20_000),
        request("POST", "/v1/campaigns/1/issuances?" + "q" * 20_000),
        request("GET", "/v1/campaigns", *["a: b"] * 4000),
        b"GET / HTTP/1.1\r\ncookie: " + b"c" * 400_000,
        b"GET /" + b"x" * 400_000,
    ],
)
@pytest.mark.parametrize("size", [1000, 500_000])
def test_too_large_a_head_is_refused(patient: Stage, head: bytes, size: int) -> None:
    with patient.wire() as wire:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wire.send(*(head[at : at + size] for at in range(0, len(head), size)))
        seen = wire.answer()
        assert (seen.status, seen.header("connection")) == (431, "close")


@pytest.mark.parametrize("route", ["/v1/campaigns", "/v1/campaigns/1/issuances/me"])
def test_too_large_a_head_is_refused_when_each_of_two_pieces_is_small(
    patient: Stage, route: str
) -> None:
    head = request("GET", route, "cookie: " + "c" * 20_000)
    with patient.wire() as wire:
        wire.send(head[:12_000], head[12_000:], pause_seconds=0.05)
        assert wire.answer().status == 431


@pytest.mark.parametrize("path", ["/v1/campaigns/1/issuances", "/v1/campaigns"])
@pytest.mark.parametrize("kind", ["length", "chunked", "framing", "trailers"])
def test_too_large_a_body_is_refused_while_it_comes(patient: Stage, path: str, kind: str) -> None:
    header = "content-length: 100000000" if kind == "length" else "transfer-encoding: chunked"
    token = f"authorization: Bearer {patient.token()}"
    body = {
        "length": b"x" * 5000,
        "chunked": b"400\r\n" + b"x" * 1024 + b"\r\n",
        "framing": b"1;" + b"e" * 5000 + b"\r\nx\r\n",
        "trailers": b"0\r\n" + b"a: b\r\n" * 1000,
    }[kind]
    with patient.wire() as wire:
        wire.send(request("POST", path, token, JSON, header))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(30):
                wire.send(body, pause_seconds=0.001)
                body = body.removeprefix(b"0\r\n")
        statuses = [wire.answer().status]
        # A GET-only address may have answered before the body was too large.
        assert statuses[0] == 413 or (path == "/v1/campaigns" and statuses[0] == 405)


def test_connections_beyond_the_limit_are_refused() -> None:
    with serving(settings_of(connections_max=2)) as stage:
        with stage.wire() as first, stage.wire() as second:
            assert first.send(stage.claim(1)).answer().status == 202
            assert second.send(stage.claim(1)).answer().status == 202
            with stage.wire() as third:
                seen = third.send(stage.claim(1)).answer()
                assert (seen.status, seen.header("retry-after")) == (503, "1")
                assert third.ends()
            assert first.send(request("GET", "/healthz")).answer().status == 200
        eventually(lambda: not stage.server.server_state.connections)
        with stage.wire() as again:
            assert again.send(stage.claim(1)).answer().status == 202


# Deadlines


def _drip(wire: Wire, sent: bytes, seconds: float = 6.0) -> float:
    """Send a byte at a time until the server has something to say; return after how long."""
    began = time.monotonic()
    wire.socket.settimeout(0.02)
    for at in range(len(sent)):
        assert time.monotonic() - began < seconds, "the server bore it"
        wire.socket.sendall(sent[at : at + 1])
        with contextlib.suppress(TimeoutError):
            wire._more()
            break
    wire.socket.settimeout(10)
    return time.monotonic() - began


@pytest.mark.parametrize("slow", ["head", "body", "body of ASGI"])
def test_slow_request_is_refused(hasty: Stage, slow: str) -> None:
    body = request("POST", "/v1/campaigns/1/issuances", JSON, "content-length: 4000")
    other = body.replace(b"issuances", b"%69ssuances")
    with hasty.wire() as wire:
        if slow != "head":
            wire.send(body if slow == "body" else other)
        waited = _drip(wire, b"POST /" + b"a" * 2000 if slow == "head" else b" " * 2000)
        seen = wire.answer()
        assert (seen.status, seen.header("connection")) == (408, "close")
        assert 0.9 < waited < 3.0
        assert wire.ends()


def test_slow_request_is_refused_after_answers_owed(hasty: Stage) -> None:
    with hasty.wire() as wire:
        wire.send(hasty.claim(HELD) + b"POST /v1/camp")
        hasty.holds(1)
        time.sleep(1.6)
        hasty.release()
        assert [wire.answer().status, wire.answer().status] == [202, 408]
        assert wire.ends()


def test_request_that_we_do_not_read_is_not_slow(hasty: Stage) -> None:
    last = hasty.claim(5)
    with hasty.wire() as wire:
        # The second waits for its turn, so nothing more is read of the third.
        wire.send(hasty.claim(HELD) + hasty.claim(1) + last[:20])
        hasty.holds(1)
        wire.send(last[20:])
        time.sleep(1.6)
        hasty.release()
        assert [wire.answer().status for _ in range(3)] == [202, 202, 409]


def test_connection_that_sends_nothing_is_idle_and_closed_after_keep_alive(hasty: Stage) -> None:
    with hasty.wire() as wire:
        time.sleep(1.2)  # longer than the receive timeout, shorter than keep-alive
        assert wire.send(hasty.claim(1)).answer().status == 202
    with hasty.wire() as wire:
        began = time.monotonic()
        assert wire.ends()
        assert 1.5 < time.monotonic() - began < 4.0


def test_connection_that_sends_nothing_is_closed_sooner_while_places_run_short() -> None:
    hasty = {"receive_timeout_seconds": 0.5, "keep_alive_seconds": 30.0}
    with serving(settings_of(connections_max=3, **hasty)) as stage, stage.wire() as first:
        with stage.wire() as second:
            assert second.ends()
        assert first.send(stage.claim(1)).answer().status == 202


def test_idle_connection_is_closed_after_keep_alive(hasty: Stage) -> None:
    for first in (hasty.claim(1), request("GET", "/healthz")):
        with hasty.wire() as wire:
            wire.send(first).answer()
            time.sleep(1.2)  # longer than the receive timeout, shorter than keep-alive
            wire.send(first).answer()
            began = time.monotonic()
            assert wire.ends()
            assert 1.5 < time.monotonic() - began < 4.0


def test_long_poll_outlasts_every_deadline(hasty: Stage) -> None:
    with hasty.wire() as wire:
        wire.send(hasty.status(HELD))
        hasty.holds(1)
        time.sleep(2.5)
        hasty.release()
        assert wire.answer().status == 200


def test_client_that_does_not_read_is_dropped(hasty: Stage) -> None:
    with hasty.wire() as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
            for _ in range(200):
                wire.send(request("GET", "/openapi.json") * 100)
        eventually(lambda: not hasty.server.server_state.connections, 20)
