"""The crowd writes down whatever it hears, behaves as its seed says, and loses nobody silently."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from firstcome.drill.checker import Checker
from firstcome.drill.eventually import eventually
from firstcome.drill.history import CLAIM, INTRUSION, MALFORMED, STATUS, Heard, Offer
from firstcome.drill.patience import KEYED_SHARE, Patience
from firstcome.drill.traffic import CrowdBroken, Traffic

pytestmark = pytest.mark.unit

OFFERS = [Offer(7, 100_000, 1.0)]
PROMISE = b'HTTP/1.1 202 Accepted\r\nContent-Length: 36\r\n\r\n{"status":"REQUESTED","position": 1}'
REFUSAL = b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 26\r\n\r\n{"code":"UNAUTHENTICATED"}'
ISSUED = b'HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n{"status":"ISSUED","position": 1}'


class Counter:
    """A server on a thread of its own that gives claims and looks the same answers for ever."""

    def __init__(self, to_claims: bytes, to_looks: bytes) -> None:
        self.to_claims, self.to_looks = to_claims, to_looks

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.read(65_536)):
                if b"good" in head:
                    writer.write(self.to_claims if head.startswith(b"POST") else self.to_looks)
                else:
                    writer.write(REFUSAL)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    @contextmanager
    def running(self) -> Iterator[tuple[str, int]]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(starting, loop).result(5)
        try:
            yield server.sockets[0].getsockname()
        finally:
            loop.call_soon_threadsafe(server.close)
            asyncio.run_coroutine_threadsafe(_all_ended(), loop).result(5)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _all_ended() -> None:
    mine = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not mine]
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # transports close in the next turn of the loop


def good(user: str) -> bytes:
    return b"Who: good\r\n"


def bad(user: str) -> bytes:
    return b"Who: bad\r\n"


MALFORMED_ANSWERS = {
    "no json": b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops",
    "no length": b"HTTP/1.1 202 Accepted\r\n\r\n",
    "no number": b"HTTP/1.1 202 Accepted\r\nContent-Length: x\r\n\r\n",
    "a length below zero": b"HTTP/1.1 202 Accepted\r\nContent-Length: -4\r\n\r\n",
    "another type": b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"position":"a"}',
    "no http": b"hello\r\n\r\n",
    "no utf-8": b'HTTP/1.1 409 No\r\nContent-Length: 12\r\n\r\n{"code":"\xff"}',
    "a head without end": b"HTTP/1.1 202 Accepted\r\nX: " + b"x" * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED_ANSWERS)
def test_crowd_writes_down_what_no_contract_knows(name: str) -> None:
    server = Counter(MALFORMED_ANSWERS[name], ISSUED)
    with server.running() as address, Traffic(address, good, OFFERS, 1, rate=0) as traffic:
        (heard,) = traffic.claim(7, ["ann"])
    assert (heard.act, heard.code) == (CLAIM, MALFORMED)
    assert traffic.heard == [heard]
    assert any(MALFORMED in said for said in Checker(traffic.heard, []).violations())


def test_follower_goes_on_after_what_he_cannot_read() -> None:
    server = Counter(PROMISE, MALFORMED_ANSWERS["no json"])
    with (
        server.running() as address,
        Traffic(address, good, OFFERS, 1, rate=0, follows=True) as traffic,
    ):
        traffic.claim(7, ["ann"])
        looks = lambda: [heard.code for heard in traffic.heard if heard.act == STATUS]  # noqa: E731
        eventually("he looked twice", looks, lambda seen: len(seen) >= 2, seconds=20)
        assert set(looks()) == {MALFORMED}
        assert traffic.undecided == 1
        server.to_looks = ISSUED
        eventually("he knows", lambda: traffic.undecided, lambda seen: seen == 0, seconds=5)


def test_crowd_that_lost_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slip(*_: object) -> Heard:
        raise LookupError("a slip of the harness")

    server = Counter(PROMISE, ISSUED)
    with (
        server.running() as address,
        Traffic(address, good, OFFERS, 1, rate=0, follows=True) as traffic,
    ):
        monkeypatch.setattr(traffic, "_ask_status", slip)
        traffic.claim(7, ["ann"])
        eventually("he is lost", lambda: traffic._failed, seconds=5)
        assert traffic.undecided == 1, "who was lost does not count as decided"
        with pytest.raises(CrowdBroken, match="a slip of the harness"):
            traffic.stop()
        traffic._failed.clear()


def test_about_one_visitor_in_a_hundred_comes_with_a_bad_token() -> None:
    with (
        Counter(PROMISE, ISSUED).running() as address,
        Traffic(address, good, OFFERS, 1, rate=800, forgeries=[bad]) as traffic,
    ):
        eventually("many came", lambda: len(traffic.heard), lambda seen: seen > 900, seconds=10)
    intrusions = [heard for heard in traffic.heard if heard.act == INTRUSION]
    users = {heard.user for heard in traffic.heard}
    intruders = {heard.user for heard in intrusions}
    assert {heard.code for heard in intrusions} == {"UNAUTHENTICATED"}
    assert len(intrusions) == 2 * len(intruders), "each claims and looks"
    assert 0.002 < len(intruders) / len(users) < 0.03
    assert not intruders & {heard.user for heard in traffic.heard if heard.act != INTRUSION}


def test_answer_in_doubt_is_followed_by_the_same_key_in_half_of_the_cases() -> None:
    random = Random(5)
    answers = again = 0
    for number in range(4000):
        is_keyed = random.random() < KEYED_SHARE
        patience = Patience(Random(number), is_keyed=is_keyed)
        for _ in range(40):
            answers += 1
            if not patience.asks_again("OUTCOME_UNKNOWN"):
                break
            assert is_keyed
            again += 1
    assert 0.47 < again / answers < 0.53


def test_certain_refusal_brings_the_patient_half_back_again_and_again() -> None:
    each = [Patience(Random(number), is_keyed=number % 2 == 0) for number in range(1000)]
    came_back = [p for p in each if p.asks_again("TEMPORARILY_UNAVAILABLE")]
    assert 400 < len(came_back) < 600
    assert all(p.asks_again("TEMPORARILY_UNAVAILABLE") for p in came_back)
    assert not any(p.asks_again("COUPON_OUT_OF_STOCK") for p in each)
