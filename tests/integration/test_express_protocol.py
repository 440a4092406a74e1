"""The express lane as a server of HTTP/1.1: order, framing, and how it ends."""

import socket
import time
from collections.abc import Iterator

import pytest
from express_stage import HELD, Stage, request, serving

from firstcome.api.express import PIPELINE_MAX

pytestmark = pytest.mark.integration

JSON = "content-type: application/json"


@pytest.fixture(scope="module")
def patient() -> Iterator[Stage]:
    with serving() as stage:
        yield stage
        assert not stage.parts.held


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
        patient.holds(1)
        patient.release()
        assert [wire.answer().status for _ in range(7)] == [202, 200, 409, 200, 200, 404, 202]


def test_connection_begins_a_request_only_when_the_one_before_is_answered(patient: Stage) -> None:
    patient.parts.claims.clear()
    with patient.wire() as wire:
        wire.send(patient.claim(HELD, user="a") + patient.claim(1, user="b"))
        patient.holds(1)
        assert [user for _, user, _ in patient.parts.claims] == ["a"]
        patient.release()
        assert [wire.answer().status, wire.answer().status] == [202, 202]
        assert [user for _, user, _ in patient.parts.claims] == ["a", "b"]


def test_other_connections_are_answered_while_one_waits(patient: Stage) -> None:
    with patient.wire() as slow, patient.wire() as quick:
        slow.send(patient.claim(HELD))
        patient.holds(1)
        assert quick.send(patient.claim(1)).answer().status == 202
        patient.release()
        assert slow.answer().status == 202


def test_connection_answers_many_pipelined_requests_in_order(patient: Stage) -> None:
    # Answered at once, each from inside the one before: this must not go deeper with each.
    patient.parts.claims.clear()
    with patient.wire() as wire:
        wire.send(patient.claim(HELD))
        patient.holds(1)
        wire.send(b"".join(patient.claim(1, user=f"user-{i}") for i in range(200)))
        time.sleep(0.05)
        patient.release()
        assert all(wire.answer().status == 202 for _ in range(201))
    assert [user for _, user, _ in patient.parts.claims[1:]] == [f"user-{i}" for i in range(200)]


def test_connection_refuses_a_pipeline_without_end(patient: Stage) -> None:
    with patient.wire() as wire:
        wire.send(patient.claim(HELD) + patient.claim(5) * (PIPELINE_MAX + 50))
        patient.holds(1)
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
        patient.holds(1)
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


# Ends


def test_drain_sends_the_answers_owed_and_takes_no_more() -> None:
    with serving() as stage, stage.wire() as owed, stage.wire() as idle, stage.wire() as half:
        idle.send(stage.claim(1)).answer()
        owed.send(stage.claim(HELD))
        half.send(stage.claim(1)[:30])
        stage.holds(1)
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
        stage.holds(1)
        stage.server.should_exit = True
        time.sleep(0.3)
        stage.release()
        assert [wire.answer().status for _ in range(3)] == [202, 200, 409]
        assert wire.ends()
