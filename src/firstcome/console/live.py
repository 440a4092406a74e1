"""The live stream: what the sampler saw, once a second, to everybody who watches.

    sampler's thread -> [Live.look] -> ring -> [Live.stream] -> each browser, as server-sent events

Encoded once a look, however many watch. A browser that lost its connection says the last event
that it has, and is given those that it missed, as far as the ring goes. A slow one skips looks.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from secrets import token_hex
from threading import Lock
from time import time

import msgspec

from firstcome.console.needs import Need, needs_of
from firstcome.console.overview import CampaignOverview, OverviewReport
from firstcome.console.told import Told
from firstcome.errors import Unavailable
from firstcome.model import CampaignState

RING_LOOKS = 120
HISTORY_LOOKS = 900  # a quarter of an hour, one a second
PING_SECONDS = 15.0
POLL_SECONDS = 0.25  # how late a look may reach a browser, and how soon an end is noticed


class TooManyWatchers(Unavailable):
    """Every place for a live page is taken."""


class Rates(msgspec.Struct, frozen=True):
    """Of one campaign since the look before; null where a number was missing."""

    claims: float | None  # admitted by the gate, a second
    issuances: float | None  # rows that became ISSUED, a second
    drain_seconds: float | None  # until what is under way has its rows, at this rate


class Point(msgspec.Struct, frozen=True):
    """One campaign at one look, for its chart."""

    at: float
    claims: float | None
    issuances: float | None
    under_way: int | None


class Look(msgspec.Struct, frozen=True):
    """What is sent; report null: PostgreSQL gives no answer."""

    number: int
    at: float  # seconds since 1970
    report: OverviewReport | None
    rates: dict[str, Rates]
    told: Told
    needs: list[Need] = []


class Live:
    """Written by one thread, read by one event loop."""

    def __init__(
        self,
        told: Callable[[], Told],
        watchers_max: int,
        *,
        clock: Callable[[], float] = time,
    ) -> None:
        """`told`: what the processes tell of themselves, as last seen."""
        self._told = told
        self._watchers_max = watchers_max
        self._clock = clock
        # Numbers of another life of this process mean nothing here.
        self._life = token_hex(4)
        self._ring: deque[tuple[int, bytes]] = deque(maxlen=RING_LOOKS)
        self._points: dict[int, deque[Point]] = {}
        self._lock = Lock()
        self.latest: Look | None = None
        self.watchers = 0
        self.stopping: Callable[[], bool] = lambda: False

    def look(self, report: OverviewReport | None) -> None:
        """Take one look of the sampler; None: PostgreSQL gave no answer."""
        before, at = self.latest, self._clock()
        number = before.number + 1 if before else 1
        rates = _rates(before, report, at)
        told = self._told()
        look = Look(number, at, report, rates, told, needs_of(report, told))
        data = msgspec.json.encode(look)
        event = b"id: %s-%d\nevent: look\ndata: %s\n\n" % (self._life.encode(), number, data)
        with self._lock:
            self._remember(report, rates, at)
            self._ring.append((number, event))
            self.latest = look

    def points(self, campaign_id: int) -> list[Point]:
        """Return a campaign's last quarter of an hour, oldest first."""
        with self._lock:
            return list(self._points.get(campaign_id, ()))

    def admit(self, last_event_id: str, lasts: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Return the stream for one more watcher. Raises TooManyWatchers.

        `lasts`: whether the watcher may still look.
        """
        if self.watchers >= self._watchers_max:
            raise TooManyWatchers(
                "too many live pages are open; this one shows what was known when it was loaded",
                certain=True,
            )
        return self._stream(self._after(last_event_id), lasts)

    async def _stream(self, seen: int, lasts: Callable[[], bool]) -> AsyncIterator[bytes]:
        self.watchers += 1
        silent = 0.0
        try:
            yield b"retry: 2000\n\n"
            while lasts() and not self.stopping():
                with self._lock:
                    events = [event for number, event in self._ring if number > seen]
                    seen = self._ring[-1][0] if self._ring else seen
                if events:
                    silent = 0.0
                    yield b"".join(events)
                elif silent >= PING_SECONDS:
                    silent = 0.0
                    yield b": ping\n\n"
                silent += POLL_SECONDS
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self.watchers -= 1

    def _after(self, last_event_id: str) -> int:
        """Return the look that a browser has; a new one is given the newest only."""
        life, _, number = last_event_id.partition("-")
        newest = self.latest.number if self.latest else 0
        if life == self._life and number.isascii() and number.isdigit():
            return min(int(number), newest)
        return max(0, newest - 1)

    def _remember(self, report: OverviewReport | None, rates: dict[str, Rates], at: float) -> None:
        campaigns = report.campaigns if report else []
        if report:
            alive = {each.campaign_id for each in campaigns}
            self._points = {each: kept for each, kept in self._points.items() if each in alive}
        for each in campaigns:
            if each.state is CampaignState.CLOSED and not each.under_way:
                continue  # its chart stands still; a hundred of them would fill the memory
            rate = rates[str(each.campaign_id)]
            points = self._points.setdefault(each.campaign_id, deque(maxlen=HISTORY_LOOKS))
            points.append(Point(at, rate.claims, rate.issuances, each.under_way))


def _rates(before: Look | None, report: OverviewReport | None, at: float) -> dict[str, Rates]:
    known: dict[int, CampaignOverview] = {}
    if before and before.report:
        known = {each.campaign_id: each for each in before.report.campaigns}
    seconds = at - before.at if before else 0.0
    campaigns = report.campaigns if report else []
    return {
        str(each.campaign_id): _rate(known.get(each.campaign_id), each, seconds)
        for each in campaigns
    }


def _rate(before: CampaignOverview | None, now: CampaignOverview, seconds: float) -> Rates:
    if before is None or seconds <= 0:
        return Rates(None, None, None)
    issuances = max(0, now.issued - before.issued) / seconds
    ended = (now.issued + now.under_review) - (before.issued + before.under_review)
    claims = None
    if now.under_way is not None and before.under_way is not None and now.epoch == before.epoch:
        claims = max(0, _taken(now) - _taken(before)) / seconds
    drain = None
    if now.under_way is not None:
        drain = 0.0 if now.under_way == 0 else _drain(now.under_way, ended / seconds)
    return Rates(claims, issuances, drain)


def _taken(campaign: CampaignOverview) -> int:
    """Return how many positions were given: those with a row, and those under way."""
    rows = campaign.issued + campaign.under_review + campaign.cancelled
    return rows + (campaign.under_way or 0)


def _drain(under_way: int, rate: float) -> float | None:
    return under_way / rate if rate > 0 else None
