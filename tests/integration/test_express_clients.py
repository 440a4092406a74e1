"""Clients of the express lane that go, talk nonsense or pretend to be somebody else."""

import contextlib
import random
import socket
from collections.abc import Iterator

import pytest
from express_stage import (
    HELD,
    RAISES,
    SECRET,
    Stage,
    request,
    serving,
    settings_of,
)
from structlog.testing import capture_logs

from firstcome.settings import AuthSettings, Settings

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


# Clients that go


@pytest.mark.parametrize("linger", [False, True])
def test_client_that_went_hurts_nobody(patient: Stage, linger: bool) -> None:
    leaving = [patient.wire() for _ in range(20)]
    with patient.wire() as staying:
        for wire in leaving[:10]:
            wire.send(patient.claim(HELD) + patient.claim(1) + request("GET", "/healthz"))
        patient.holds(10)
        staying.send(patient.claim(HELD))
        patient.holds(11)
        for wire in leaving[10:]:
            wire.send(patient.claim(HELD))
        patient.holds(21)
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
        patient.holds(1)
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
