"""The outbox: rows that say which positions became ISSUED, until their events are acknowledged.

Beside the path: recorder -> outbox -> [relay.outbox] -> relay, which publishes

A row is written in the transaction that makes the issuances, and ends in the one that follows
the brokers' acknowledgement; `published` keeps the positions for ever, as ranges. So what waits
is what is there, whichever relay runs, and changing the relay loses nothing.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from firstcome import postgres
from firstcome.eventlog.issued import CouponIssued
from firstcome.model import POSITION_MAX
from firstcome.settings import RelaySettings

_QUERIES = postgres.queries("outbox")
RELAY_LOCK = 0x66636F757462  # any number that nobody else locks
CHANNEL = "firstcome_outbox"  # recorders call on it: see issuance/recorder.py
ROWS_MAX = 2000  # of one look; the engine `direct` writes one a coupon


class Range(NamedTuple):
    """Positions of a campaign, from `first` up to and without `end`."""

    campaign_id: int
    first: int
    end: int


class OutboxRow(NamedTuple):
    """One transaction's announcement."""

    outbox_id: int
    ranges: list[Range]
    created_at: datetime

    @property
    def events(self) -> int:
        """How many coupons it tells of."""
        return sum(each.end - each.first for each in self.ranges)


class Page(NamedTuple):
    """A look at some rows, in their order."""

    ended: int
    last: int | None  # the last one of the page; None: there is none beyond it


class Overdue(NamedTuple):
    """What has waited for too long."""

    events: int
    rows: int
    oldest_seconds: float
    campaign_ids: list[int]


class Outbox:
    """The statements of one relay. Each belongs to the caller's transaction."""

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings

    def hasten(self, connection: postgres.Connection) -> None:
        """Let this transaction end without waiting for the server's disk: see sql/outbox.sql."""
        connection.execute(_QUERIES["hastily"])

    def end_of_log(self, connection: postgres.Connection) -> int:
        """Return where the write-ahead log ends."""
        row = connection.execute(_QUERIES["end_of_log"]).fetchone()
        return row[0] if row else 0

    def beat(self, connection: postgres.Connection) -> None:
        """Write something to the write-ahead log."""
        connection.execute(_QUERIES["heartbeat"])

    def lock(self, connection: postgres.Connection) -> bool:
        """Return whether this relay may work until the transaction ends: no other one does."""
        row = connection.execute(_QUERIES["lock"], {"lock": RELAY_LOCK}).fetchone()
        return bool(row and row[0])

    def take(self, connection: postgres.Connection, room: int) -> list[OutboxRow]:
        """Return the oldest rows, of about `room` events but at least one row."""
        taken: list[OutboxRow] = []
        for row in connection.execute(_QUERIES["take"], {"rows": ROWS_MAX}, binary=True):
            if room <= 0:
                break
            taken.append(_row(*row))
            room -= taken[-1].events
        return taken

    def events(
        self, connection: postgres.Connection, ranges: Iterable[Range]
    ) -> Iterator[CouponIssued]:
        """Return the events of some ranges: in their order, each user's in that of positions."""
        found = connection.execute(_QUERIES["issued"], _columns(ranges), binary=True)
        for campaign_id, requested_at, recorded_at, positions, users in found:
            for position, user_id in zip(positions, users, strict=True):
                yield CouponIssued(campaign_id, position, user_id, requested_at, recorded_at)

    def end(self, connection: postgres.Connection, rows: list[OutboxRow]) -> None:
        """Note that all events of these rows were acknowledged; they are not taken again."""
        self._end(connection, [row.outbox_id for row in rows])
        self.note(connection, [each for row in rows for each in row.ranges])

    def note(self, connection: postgres.Connection, ranges: Iterable[Range]) -> None:
        """Remember that the events of some positions were acknowledged."""
        connection.execute(_QUERIES["note"], _columns(ranges))

    def end_published(self, connection: postgres.Connection) -> int:
        """End rows whose positions all count as published, by whomever; return how many."""
        ended, page = 0, self.end_page(connection, 0)
        while page.last is not None:
            ended += page.ended
            page = self.end_page(connection, page.last)
        return ended + page.ended

    def end_page(self, connection: postgres.Connection, after: int) -> Page:
        """Do so among the ROWS_MAX oldest rows beyond one."""
        values = {"after": after, "rows": ROWS_MAX}
        judged = connection.execute(_QUERIES["judge"], values, binary=True).fetchall()
        ended = [outbox_id for outbox_id, is_published in judged if is_published]
        if ended:
            self._end(connection, ended)
        return Page(len(ended), judged[-1][0] if len(judged) == ROWS_MAX else None)

    def published(self, connection: postgres.Connection, campaign_id: int) -> list[Range]:
        """Return the positions of a campaign whose events were acknowledged, in their order."""
        found = connection.execute(_QUERIES["published"], {"campaign_id": campaign_id})
        return [Range(campaign_id, first, end) for first, end in found]

    def forget(self, connection: postgres.Connection) -> int:
        """Delete rows that were kept long enough; return how many."""
        seconds = self._settings.keep_published_seconds
        return connection.execute(_QUERIES["forget"], {"seconds": seconds}).rowcount

    def overdue(self, connection: postgres.Connection, seconds: float) -> Overdue:
        """Return what has waited for longer than that."""
        found = connection.execute(_QUERIES["overdue"], {"seconds": seconds}).fetchone()
        return Overdue(*(found or (0, 0, 0.0, [])))

    def _end(self, connection: postgres.Connection, rows: list[int]) -> None:
        end = "mark" if self._settings.keep_published_seconds else "delete"
        connection.execute(_QUERIES[end], {"rows": rows})


def ranges_of(event_ids: Iterable[int]) -> list[Range]:
    """Return the positions that some events tell of, joined where they touch."""
    ranges: list[Range] = []
    for event_id in sorted(set(event_ids)):
        campaign_id, position = divmod(event_id, POSITION_MAX + 1)
        last = ranges[-1] if ranges else None
        if last and (last.campaign_id, last.end) == (campaign_id, position):
            ranges[-1] = last._replace(end=position + 1)
        else:
            ranges.append(Range(campaign_id, position, position + 1))
    return ranges


def _row(outbox_id: int, campaign_id: int, positions: Any, created_at: datetime) -> OutboxRow:
    # Ranges of whole numbers always come as [first, end).
    ranges = [Range(campaign_id, each.lower, each.upper) for each in positions]
    return OutboxRow(outbox_id, ranges, created_at)


def _columns(ranges: Iterable[Range]) -> dict[str, list[int]]:
    campaigns, firsts, ends = [], [], []
    for each in ranges:
        campaigns.append(each.campaign_id)
        firsts.append(each.first)
        ends.append(each.end)
    return {"campaigns": campaigns, "firsts": firsts, "ends": ends}
