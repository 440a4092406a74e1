"""A crowd that keeps asking while something breaks, and writes down all that it hears.

It runs on a thread of its own. Every visitor is one user who behaves as users do, from a
seed: with or without an Idempotency-Key, patient or not, some ask twice at once, some look
where they stand. What is written down is only what a client can know, with monotonic times.
"""

import asyncio
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from random import Random

import msgspec

from firstcome.drill.history import (
    CLAIM,
    FINAL,
    INTRUSION,
    LOST,
    MALFORMED,
    STATUS,
    TIMED_OUT,
    Heard,
    Offer,
    meaning,
)
from firstcome.drill.patience import KEYED_SHARE, Patience
from firstcome.errors import FirstcomeError

ANSWER_SECONDS = 8.0  # a client gives up then; longer than any answer may take
FOLLOW_SECONDS_MIN, FOLLOW_SECONDS_MAX = 0.1, 10.0
LOOKERS_MAX, CLAIMS_MAX = 24, 24  # at once
VISITORS_MAX = 1500  # at once; a crowd that hears nothing does not grow for ever
TRIES_MAX = 40
INTRUDERS_SHARE = 0.01  # of the visitors: they come with a token that does not count


class CrowdBroken(FirstcomeError):
    """A visitor did not behave as one: the history has a gap, and proves nothing."""


class Traffic:
    """Visitors at a steady rate, from `start` until `stop`. The history grows in `heard`."""

    def __init__(
        self,
        address: tuple[str, int],
        identify: Callable[[str], bytes],
        offers: list[Offer],
        seed: int,
        rate: float,
        follows: bool = False,
        forgeries: Sequence[Callable[[str], bytes]] = (),
    ) -> None:
        """Nobody comes before it is entered; `rate` is visitors a second.

        `follows`: everybody who is promised a coupon looks again and again until he has it.
        `forgeries`: like `identify`, but nobody may be let in by them; a few visitors try.
        """
        self.heard: list[Heard] = []
        self.seed = seed
        self._address = address
        self._identify = identify
        self._offers = offers
        self._rate = rate
        self._follows = follows
        self._forgeries = forgeries
        self._failed: list[str] = []
        self._promised: list[float] = []
        self._asking = 0
        self._followers: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._lookers = asyncio.Semaphore(LOOKERS_MAX)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._stopping = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        self._running = asyncio.run_coroutine_threadsafe(self._come(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(timeout=10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def stop(self) -> None:
        """Let nobody new come, and wait until everybody has heard his last answer. Repeatable.

        Raises CrowdBroken when somebody was lost on the way: what he heard is missing.
        """
        self._stopping = True
        self._running.result(timeout=60)
        if self._failed:
            raise CrowdBroken(f"{len(self._failed)} visitors were lost: {self._failed[0]}")

    def accepted_since(self, when: float) -> int:
        """Return how many claims were promised a coupon since a monotonic time."""
        return len(self._promised) - bisect_left(self._promised, when)

    def offer(self, offers: list[Offer], identify: Callable[[str], bytes]) -> None:
        """Let those who come from now on want other campaigns, under fresh tokens."""
        self._offers, self._identify = offers, identify

    @property
    def claims_under_way(self) -> int:
        """How many claims wait for their answer now."""
        return self._asking

    @property
    def undecided(self) -> int:
        """How many users who were promised a coupon have not seen it yet; all are looking."""
        return len(self._followers)

    def look(self, places: Iterable[tuple[int, str]], wait: float = 0) -> list[Heard]:
        """Ask where users stand, (campaign, user) each; a part of the history too."""
        asking = self._look(list(places), wait)
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result(timeout=120)

    def claim(self, campaign_id: int, users: Iterable[str]) -> list[Heard]:
        """Let users claim, some at once."""
        free = asyncio.Semaphore(CLAIMS_MAX)

        async def claim(user: str) -> Heard:
            async with free:
                return await self._claim(campaign_id, user, None)

        async def ask() -> list[Heard]:
            return await asyncio.gather(*(claim(user) for user in users))

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(timeout=120)

    async def _come(self) -> None:
        visitors: set[asyncio.Task[None]] = set()
        began, number = time.monotonic(), 0
        while not self._stopping:
            due = int((time.monotonic() - began) * self._rate)
            while number < due:
                number += 1
                if len(visitors) < VISITORS_MAX:
                    visitor = self._loop.create_task(self._visit(number))
                    visitors.add(visitor)
                    visitor.add_done_callback(visitors.discard)
                    visitor.add_done_callback(self._ended)
            await asyncio.sleep(0.005)
        await asyncio.gather(*visitors, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> bool:
        """Return whether a visitor or a follower went to his end; note it if he did not."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed.append(f"{type(error).__name__}: {error}")
            return False
        return True

    async def _leave(self) -> None:
        for follower in list(self._followers.values()):
            follower.cancel()
        while self._idle:
            _, writer = self._idle.pop()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _visit(self, number: int) -> None:
        """Be one user from the first request to the last look."""
        random = Random(f"{self.seed}-{number}")
        shares = [offer.share for offer in self._offers]
        (offer,) = random.choices(self._offers, shares)
        if self._forgeries and random.random() < INTRUDERS_SHARE:
            await self._intrude(offer.campaign_id, f"i{self.seed}-{number}", random)
            return
        user = f"v{self.seed}-{number}"
        key = f"k{number}" if random.random() < KEYED_SHARE else None
        twice = 2 if random.random() < 0.1 else 1
        claims = [
            self._insist(offer.campaign_id, user, key, Random(f"{self.seed}-{number}-{n}"))
            for n in range(twice)
        ]
        await asyncio.gather(*claims)
        if random.random() < 0.3:
            for pause in (0.0, 0.4, 1.5):
                await asyncio.sleep(pause)
                await self._ask_status(offer.campaign_id, user, 0)

    async def _intrude(self, campaign_id: int, user: str, random: Random) -> None:
        """Claim and look in the name of somebody who never comes himself."""
        forge = random.choice(self._forgeries)
        for act in (claim_line(campaign_id), status_line(campaign_id, 0)):
            await self._ask(INTRUSION, act, campaign_id, user, None, forge)

    async def _insist(self, campaign_id: int, user: str, key: str | None, random: Random) -> None:
        """Claim, and again as long as his patience lasts."""
        patience = Patience(random, is_keyed=key is not None)
        for _ in range(TRIES_MAX):
            heard = await self._claim(campaign_id, user, key)
            if self._stopping or not patience.asks_again(heard.code):
                return
            await asyncio.sleep(0.5)

    async def _claim(self, campaign_id: int, user: str, key: str | None) -> Heard:
        self._asking += 1
        try:
            heard = await self._ask(CLAIM, claim_line(campaign_id), campaign_id, user, key)
        finally:
            self._asking -= 1
        if heard.is_promise:
            self._promised.append(heard.answered)
            place = (campaign_id, user)
            if self._follows and place not in self._followers:
                follower = self._loop.create_task(self._follow(*place))
                self._followers[place] = follower
                follower.add_done_callback(partial(self._follower_ended, place))
        return heard

    def _follower_ended(self, place: tuple[int, str], task: "asyncio.Task[None]") -> None:
        """Take him for decided only if he has seen the end."""
        if self._ended(task):
            self._followers.pop(place)

    async def _follow(self, campaign_id: int, user: str) -> None:
        """Look until it is final, at growing distances."""
        pause = FOLLOW_SECONDS_MIN
        while True:
            await asyncio.sleep(pause)
            async with self._lookers:
                heard = await self._ask_status(campaign_id, user, 0)
            if heard.code in FINAL:
                return
            pause = min(FOLLOW_SECONDS_MAX, pause * 1.6)

    async def _ask_status(self, campaign_id: int, user: str, wait: float) -> Heard:
        return await self._ask(STATUS, status_line(campaign_id, wait), campaign_id, user, None)

    async def _look(self, places: list[tuple[int, str]], wait: float) -> list[Heard]:
        free = asyncio.Semaphore(64)

        async def look(campaign_id: int, user: str) -> Heard:
            async with free:
                return await self._ask_status(campaign_id, user, wait)

        return await asyncio.gather(*(look(*place) for place in places))

    async def _ask(
        self,
        act: str,
        line: str,
        campaign_id: int,
        user: str,
        key: str | None,
        identify: Callable[[str], bytes] | None = None,
    ) -> Heard:
        keyed = b"" if key is None else b"Idempotency-Key: %s\r\n" % key.encode()
        content = b"%s HTTP/1.1\r\nHost: firstcome\r\n%s%sContent-Length: 0\r\n\r\n" % (
            line.encode(),
            (identify or self._identify)(user),
            keyed,
        )
        invoked = time.monotonic()
        told: tuple[str, int, str, bool]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                told = meaning(*await self._exchange(content))
        except TimeoutError:
            told = TIMED_OUT, 0, "", False
        except (OSError, asyncio.IncompleteReadError):
            told = LOST, 0, "", False
        except (ValueError, msgspec.DecodeError, asyncio.LimitOverrunError):
            # Somebody answered, but not as any contract says: the checker's affair.
            told = MALFORMED, 0, "", False
        heard = Heard(act, campaign_id, user, key, invoked, time.monotonic(), *told)
        self.heard.append(heard)
        return heard

    async def _exchange(self, content: bytes) -> tuple[bytes, bytes]:
        """Send a request; return head and body of its answer."""
        reader, writer = await self._connection()
        is_whole = False
        try:
            writer.write(content)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            is_whole = b"connection: close" not in head.lower()
            return head, body
        finally:
            if is_whole:
                self._idle.append((reader, writer))
            else:
                writer.transport.abort()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            with suppress(OSError):
                writer.transport.abort()
        return await asyncio.open_connection(*self._address)


def claim_line(campaign_id: int) -> str:
    """Return the first line of a claim."""
    return f"POST /v1/campaigns/{campaign_id}/issuances"


def status_line(campaign_id: int, wait: float) -> str:
    """Return the first line of a look at one's own status."""
    return f"GET /v1/campaigns/{campaign_id}/issuances/me?wait={wait:g}"
