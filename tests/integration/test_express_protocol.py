"""The express lane as a server of HTTP/1.1: order, limits, deadlines, clients that go or stall."""

import contextlib
import random
import socket
import time

import pytest
from express_stage import HELD, RAISES, SECRET, Stage, Wire, request, serving, settings_of
from structlog.testing import capture_logs

from firstcome.api.express import PIPELINE_MAX
from firstcome.settings import AuthSettings, Settings

pytestmark = pytest.mark.integration

JSON = "content-type: application/json"


def _eventually(said, seconds: float = 5.0):
    give_up = time.monotonic() + seconds
    while not (seen := said()):
        assert time.monotonic() < give_up, f"last seen: {seen!r}"
        time.sleep(0.005)
    return seen


@pytest.fixture(scope="module")
def patient():
    with serving() as stage:
        yield stage
        assert not stage.parts.held


@pytest.fixture(scope="module")
def hasty():
    with serving(settings_of(receive_timeout_seconds=1.0, keep_alive_seconds=1.6)) as stage:
        yield stage


def _held(stage: Stage, count: int) -> None:
    _eventually(lambda: len(stage.parts.held) == count)


# Order


def test_connection_answers_pipelined_requests_of_both_kinds_in_order(patient: Stage) -> None:
    with patient.wire() as wire:
        wire.send(
            patient.claim(HELD)
            + request("GET", f"/v1/campaigns/{HELD}")
            + patient.claim(5)
            + request("GET", "/healthz")
            + patient.status(2)
            + request("GET", "/nowhere")
            + patient.claim(1)
        )
        _held(patient, 1)
        patient.release()
        assert [wire.answer().status for _ in range(7)] == [202, 200, 409, 200, 200, 404, 202]


def test_connection_begins_a_request_only_when_the_one_before_is_answered(patient: Stage) -> None:
    patient.parts.claims.clear()
    with patient.wire() as wire:
        wire.send(patient.claim(HELD, user="a") + patient.claim(1, user="b"))
        _held(patient, 1)
        assert [user for _, user, _ in patient.parts.claims] == ["a"]
        patient.release()
        assert [wire.answer().status, wire.answer().status] == [202, 202]
        assert [user for _, user, _ in patient.parts.claims] == ["a", "b"]


def test_other_connections_are_answered_while_one_waits(patient: Stage) -> None:
    with patient.wire() as slow, patient.wire() as quick:
        slow.send(patient.claim(HELD))
        _held(patient, 1)
        assert quick.send(patient.claim(1)).answer().status == 202
        patient.release()
        assert slow.answer().status == 202


def test_connection_answers_many_pipelined_requests_in_order(patient: Stage) -> None:
    # Answered at once, each from inside the one before: this must not go deeper with each.
    patient.parts.claims.clear()
    with patient.wire() as wire:
        wire.send(patient.claim(HELD))
        _held(patient, 1)
        wire.send(b"".join(patient.claim(1, user=f"user-{i}") for i in range(200)))
        time.sleep(0.05)
        patient.release()
        assert all(wire.answer().status == 202 for _ in range(201))
    assert [user for _, user, _ in patient.parts.claims[1:]] == [f"user-{i}" for i in range(200)]


def test_connection_refuses_a_pipeline_without_end(patient: Stage) -> None:
    with patient.wire() as wire:
        wire.send(patient.claim(HELD) + patient.claim(5) * (PIPELINE_MAX + 50))
        _held(patient, 1)
        patient.release()
        seen = [wire.answer().status for _ in range(PIPELINE_MAX + 2)]
        assert seen == [202] + [409] * PIPELINE_MAX + [429]
        assert wire.ends()


def test_connection_takes_more_pipelined_requests_than_one_head_may_have_bytes(
    patient: Stage,
) -> None:
    # The limit is of one request, not of what the network delivers in one piece.
    count = 3 * patient.settings.api.header_bytes_max // len(patient.claim(5)) + 1
    with patient.wire() as wire:
        wire.send(patient.claim(5) * count)
        assert all(wire.answer().status == 409 for _ in range(count))


# Framing


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_request_in_pieces_is_answered(patient: Stage, size: int) -> None:
    with patient.wire() as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chunked = (
            patient.claim(1, JSON, "transfer-encoding: chunked") + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
        )
        sized = patient.claim(2, JSON, "content-length: 2") + b"{}"
        whole = chunked + sized + request("GET", "/healthz")
        wire.send(*(whole[at : at + size] for at in range(0, len(whole), size)))
        assert [wire.answer().status for _ in range(3)] == [202, 202, 200]


def test_client_that_expects_100_is_told_to_go_on(patient: Stage) -> None:
    with patient.wire() as wire:
        wire.send(patient.claim(1, JSON, "expect: 100-continue", "content-length: 2"))
        assert wire.answer().status == 100
        assert wire.send(b"{}").answer().status == 202


def test_client_that_expects_100_waits_for_earlier_answers(patient: Stage) -> None:
    with patient.wire() as wire:
        wire.send(patient.claim(HELD))
        wire.send(patient.claim(5, JSON, "expect: 100-continue", "content-length: 2"))
        _held(patient, 1)
        patient.release()
        assert [wire.answer().status, wire.answer().status] == [202, 100]
        assert wire.send(b"{}").answer().status == 409


def test_client_that_expects_100_for_too_much_is_refused_at_once(patient: Stage) -> None:
    with patient.wire() as wire:
        wire.send(patient.claim(1, JSON, "expect: 100-continue", "content-length: 999999"))
        assert wire.answer().status == 413
        assert wire.ends()


@pytest.mark.parametrize("connection", [[], ["connection: keep-alive"]])
def test_http_1_0_gets_one_answer(patient: Stage, connection: list[str]) -> None:
    with patient.wire() as wire:
        wire.send(patient.claim(1, *connection).replace(b"HTTP/1.1", b"HTTP/1.0"))
        seen = wire.answer()
        assert (seen.status, seen.header("connection")) == (202, "close")
        assert wire.ends()


def test_close_is_obeyed_and_later_requests_are_not_begun(patient: Stage) -> None:
    patient.parts.claims.clear()
    with patient.wire() as wire:
        wire.send(patient.claim(1, "connection: close") + patient.claim(1, user="late"))
        assert wire.answer().header("connection") == "close"
        assert wire.ends()
    assert len(patient.parts.claims) == 1


def test_upgrade_is_ignored_and_the_next_request_answered(patient: Stage) -> None:
    upgrade = ["connection: upgrade", "upgrade: websocket"]
    with patient.wire() as wire:
        wire.send(patient.claim(1, *upgrade) * 3 + request("GET", "/healthz", *upgrade))
        wire.send(patient.claim(5))
        assert [wire.answer().status for _ in range(5)] == [202, 202, 202, 200, 409]


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
        _eventually(lambda: not stage.server.server_state.connections)
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
        _held(hasty, 1)
        time.sleep(1.6)
        hasty.release()
        assert [wire.answer().status, wire.answer().status] == [202, 408]
        assert wire.ends()


def test_request_that_we_do_not_read_is_not_slow(hasty: Stage) -> None:
    last = hasty.claim(5)
    with hasty.wire() as wire:
        # The second waits for its turn, so nothing more is read of the third.
        wire.send(hasty.claim(HELD) + hasty.claim(1) + last[:20])
        _held(hasty, 1)
        wire.send(last[20:])
        time.sleep(1.6)
        hasty.release()
        assert [wire.answer().status for _ in range(3)] == [202, 202, 409]


def test_connection_that_sends_nothing_is_closed(hasty: Stage) -> None:
    with hasty.wire() as wire:
        began = time.monotonic()
        assert wire.ends()
        assert 0.9 < time.monotonic() - began < 3.0


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
        _held(hasty, 1)
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
        _eventually(lambda: not hasty.server.server_state.connections, 8)


# Clients that go


@pytest.mark.parametrize("linger", [False, True])
def test_client_that_went_hurts_nobody(patient: Stage, linger: bool) -> None:
    leaving = [patient.wire() for _ in range(20)]
    with patient.wire() as staying:
        for wire in leaving[:10]:
            wire.send(patient.claim(HELD) + patient.claim(1) + request("GET", "/healthz"))
        _held(patient, 10)
        staying.send(patient.claim(HELD))
        _held(patient, 11)
        for wire in leaving[10:]:
            wire.send(patient.claim(HELD))
        _held(patient, 21)
        for wire in leaving:
            if linger:  # a reset instead of an orderly end
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            wire.socket.close()
        with capture_logs() as logged:
            patient.release()
            assert staying.answer().status == 202
            assert staying.send(patient.claim(1)).answer().status == 202
        assert logged == []


def test_client_that_goes_in_mid_request_hurts_nobody(patient: Stage) -> None:
    patient.parts.claims.clear()
    whole = patient.claim(1, JSON, "content-length: 2") + b"{}"
    for at in range(1, len(whole), 11):
        with patient.wire() as wire:
            wire.send(whole[:at])
    with patient.wire() as wire:
        assert wire.send(patient.claim(5)).answer().status == 409
    assert [campaign for campaign, _, _ in patient.parts.claims] == [5]


def test_defect_behind_one_request_leaves_the_connection_usable(patient: Stage) -> None:
    with patient.wire() as wire:
        wire.send(patient.claim(RAISES) + patient.status(RAISES) + patient.claim(1))
        assert [wire.answer().status for _ in range(3)] == [500, 500, 202]


# Nonsense


def test_nonsense_after_a_request_is_refused_after_its_answer(patient: Stage) -> None:
    with patient.wire() as wire:
        wire.send(patient.claim(HELD) + b"\x00\x01nonsense\r\n\r\n" + patient.claim(1))
        _held(patient, 1)
        patient.release()
        assert [wire.answer().status, wire.answer().status] == [202, 400]
        assert wire.ends()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: a\x00b\r\n\r\n",
    ],
)
def test_nonsense_is_refused(patient: Stage, sent: bytes) -> None:
    with patient.wire() as wire:
        seen = wire.send(sent).answer()
        assert seen.status == 400
        assert seen.header("content-type") == "application/problem+json"


def test_thousand_spoiled_requests_hurt_nobody(hasty: Stage) -> None:
    seed = 20_260_101
    dice = random.Random(seed)
    seeds = [
        hasty.claim(1, JSON, "content-length: 2") + b"{}",
        hasty.claim(1, JSON, "transfer-encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
        hasty.status(2),
        request("GET", "/v1/campaigns/1?x=%41"),
        request("GET", "/problems/not-found", "origin: x") + hasty.claim(5),
    ]
    for number in range(1000):
        spoiled = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(spoiled))
            match dice.randrange(4):
                case 0:
                    spoiled[at] = dice.randrange(256)
                case 1:
                    del spoiled[at : at + dice.randint(1, 9)]
                case 2:
                    spoiled[at:at] = dice.randbytes(dice.randint(1, 9))
                case 3:
                    spoiled[at:at] = dice.choice([b"\r\n", b"\r\n\r\n", b" ", b":", b"0\r\n"])
            if not spoiled:
                break
        with hasty.wire() as wire:
            wire.send(bytes(spoiled))
            wire.socket.shutdown(socket.SHUT_WR)
            said = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := wire.socket.recv(65536):
                    said += piece
        assert b"HTTP/1.1 5" not in said, (seed, number, bytes(spoiled), said)
    with hasty.wire() as wire:
        assert wire.send(hasty.claim(1)).answer().status == 202


# Ends


def test_drain_sends_the_answers_owed_and_takes_no_more() -> None:
    with serving() as stage, stage.wire() as owed, stage.wire() as idle, stage.wire() as half:
        idle.send(stage.claim(1)).answer()
        owed.send(stage.claim(HELD))
        half.send(stage.claim(1)[:30])
        _held(stage, 1)
        stage.server.should_exit = True
        assert idle.ends()
        assert half.ends()
        with pytest.raises(ConnectionRefusedError):
            stage.wire()
        stage.release()
        seen = owed.answer()
        assert (seen.status, seen.header("connection")) == (202, "close")
        assert owed.ends()


def test_drain_answers_a_whole_pipeline() -> None:
    with serving() as stage, stage.wire() as wire:
        wire.send(stage.claim(HELD) + request("GET", "/healthz") + stage.claim(5))
        _held(stage, 1)
        stage.server.should_exit = True
        time.sleep(0.3)
        stage.release()
        assert [wire.answer().status for _ in range(3)] == [202, 200, 409]
        assert wire.ends()


# Who asks


@pytest.mark.parametrize(
    ("networks", "headers", "status", "user"),
    [
        (["127.0.0.0/8"], ["X-User-Id: ann"], 202, "ann"),
        (["127.0.0.0/8"], ["x-user-id:  bob "], 202, "bob"),
        (["127.0.0.0/8"], [], 401, None),
        (["127.0.0.0/8"], ["x-user-id: a b"], 400, None),
        (["127.0.0.0/8"], ["x-user-id: "], 400, None),
        (["127.0.0.0/8"], ["x-user-id: ann", "X-User-ID: bob"], 400, None),
        (["10.0.0.0/8", "::1/128"], ["x-user-id: ann"], 401, None),
        (["10.0.0.0/8"], ["x-user-id: ann", "x-forwarded-for: 10.0.0.1"], 401, None),
    ],
)
@pytest.mark.parametrize("lane", [True, False])
def test_gateway_names_the_user_only_from_its_network(
    networks: list[str], headers: list[str], status: int, user: str | None, lane: bool
) -> None:
    auth = AuthSettings(mode="gateway", gateway_networks=networks)
    with serving(Settings(auth=auth), lane=lane) as stage, stage.wire() as wire:
        seen = wire.send(request("POST", "/v1/campaigns/1/issuances", *headers)).answer()
        assert seen.status == status
        assert [each[1] for each in stage.parts.claims] == ([user] if user else [])


def test_secrets_stay_out_of_answers(patient: Stage) -> None:
    with patient.wire() as wire:
        for sent in (
            patient.claim(3),
            patient.status(5),
            patient.claim("x"),
            patient.claim(RAISES),
        ):
            seen = wire.send(sent).answer()
            assert SECRET.encode() not in seen.body
            assert patient.token()[:20].encode() not in seen.body
