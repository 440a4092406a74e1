"""Following a stream of the write-ahead log: emitted as it comes, confirmed when all is noted.

Beside the path: write-ahead log -> [relay.following] -> eventlog.emitter -> topic

Three steps, each for many transactions at once, none waiting for the other: events go to the
producer as they come; transactions whose events are all acknowledged end their rows of the outbox;
then, and not before, the server may forget the write-ahead log up to there. A life of it ends with
the first error: the next one begins at the last position confirmed, and repeats what was on its
way.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from firstcome import failpoints, postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable, SlotUnusable
from firstcome.eventlog.emitter import Emitter, Handed
from firstcome.eventlog.issued import CouponIssued
from firstcome.metrics import catalogue
from firstcome.relay.outbox import Outbox, OutboxRow, Range
from firstcome.relay.told import Told
from firstcome.settings import RelaySettings

MESSAGES_MAX = 2000  # of one reading: rows, and what is said around them
END_SECONDS = 0.05  # so often rows of the outbox end, and then are confirmed; many rows sooner
ROWS_MAX = 2000
REPORTS_SECONDS = 0.01  # while events are owed, their reports are looked for so often
IDLE_SECONDS = 0.25

ISSUANCES, OUTBOX = "issuances", "outbox"
COLUMNS = {
    ISSUANCES: ("campaign_id", "position", "user_id", "requested_at", "recorded_at"),
    OUTBOX: ("outbox_id", "campaign_id", "positions", "created_at"),
}


class _Reading(NamedTuple):
    """What one reading has brought, on its way to the brokers."""

    handed: Handed
    events: int
    at: float
    rows: list[OutboxRow]  # of transactions that have ended
    end: int  # of the last of them; 0: none has


class Following:
    """One life of a stream; for one thread. Any error of it ends this life."""

    def __init__(
        self,
        settings: RelaySettings,
        stream: postgres.ReplicationStream,
        session: Callable[[], postgres.Connection],
        emitter: Emitter,
        told: Told,
    ) -> None:
        """`told`: what need not be told again."""
        self._settings = settings
        self._stream = stream
        self._session = session
        self._emitter = emitter
        self._told: Told | None = told
        self._outbox = Outbox(settings)
        self._decoder = postgres.Decoder(COLUMNS)
        # Of the transaction that is being read: its rows, coupons listed, coupons that came.
        self._open: list[OutboxRow] = []
        self._listed: Counter[int] = Counter()
        self._issued: Counter[int] = Counter()
        self._on_the_way: deque[_Reading] = deque()
        self._done: list[OutboxRow] = []  # acknowledged, still in the outbox
        self._done_end = 0
        self._ended_at = self._beaten_at = time.monotonic()
        self._came = False

    def run_once(self) -> int:
        """Read what has come and end what is due; return how many events were handed over.

        Raises DatabaseUnavailable, LogUnavailable, SlotUnusable, BadRecord.
        """
        handed = self._read()
        self._emitter.poll()
        self._collect()
        self._end_what_is_done()
        self._beat()
        return handed

    def wait(self) -> None:
        """Wait until something comes or is due; not at all if the last reading brought anything."""
        if self._came:
            return  # the rest of it may be in our hands already, where no wait would see it
        seconds = IDLE_SECONDS
        if self._on_the_way:
            seconds = REPORTS_SECONDS
        elif self._done:
            seconds = self._ended_at + END_SECONDS - time.monotonic()
        if self._room() > 0:
            self._stream.wait(seconds)
        else:
            self._emitter.poll(REPORTS_SECONDS)

    def finish(self) -> None:
        """Read no more; let everything handed over be acknowledged, ended and confirmed."""
        self._emitter.flush(time.monotonic() + self._settings.acknowledge_timeout_seconds)
        self._collect()
        self._end_rows()
        self._confirm()

    def _read(self) -> int:
        room = self._room()
        messages = self._stream.read(min(room, MESSAGES_MAX)) if room > 0 else []
        self._came = bool(messages)
        if not messages:
            return 0
        failpoints.hit("after_take", lost=DatabaseUnavailable("the stream was cut"))
        events: list[CouponIssued] = []
        rows: list[OutboxRow] = []
        end = 0
        for message in messages:
            said = self._decoder.decode(message)
            if isinstance(said, postgres.Commit):
                self._check_whole()
                rows += self._open
                self._open.clear()
                end = said.end
                if self._told is not None and end > self._told.end:
                    self._told = None
            elif said is not None and said.table == ISSUANCES:
                self._add_event(events, said.values)
            elif said is not None:
                self._add_row(said.values)
        now = time.monotonic()
        handed = self._emitter.hand_over(events, now + self._settings.acknowledge_timeout_seconds)
        self._on_the_way.append(_Reading(handed, len(events), now, rows, end))
        return len(events)

    def _check_whole(self) -> None:
        """A transaction that lists coupons brings them: else a publication leaves them out."""
        for campaign_id, listed in self._listed.items():
            if listed > self._issued[campaign_id]:
                raise SlotUnusable(
                    f"a transaction lists {listed} coupons of campaign {campaign_id} and brought "
                    f"{self._issued[campaign_id]}: publication firstcome_events is not as it "
                    "should be; nothing was confirmed: run `firstcome relay prepare`"
                )
        self._listed.clear()
        self._issued.clear()

    def _add_event(self, events: list[CouponIssued], values: tuple[Any, ...]) -> None:
        event = CouponIssued(*values)
        self._issued[event.campaign_id] += 1
        if self._told is None or not self._told.has(event.campaign_id, event.position):
            events.append(event)

    def _add_row(self, values: tuple[Any, ...]) -> None:
        outbox_id, campaign_id, positions, created_at = values
        row = OutboxRow(outbox_id, [Range(campaign_id, *each) for each in positions], created_at)
        self._listed[campaign_id] += row.events
        if self._told is None or not self._told.has_all(row):
            self._open.append(row)

    def _room(self) -> int:
        """How many events may still be handed over before the brokers have taken others."""
        return self._settings.events_max - self._emitter.owed

    def _collect(self) -> None:
        """Move what is acknowledged, in the order of the write-ahead log, to what is done."""
        while self._on_the_way and not self._on_the_way[0].handed.owed:
            reading = self._on_the_way.popleft()
            if reading.events:
                catalogue.PUBLISHED.add(reading.events)
                failpoints.hit("after_emit", lost=LogUnavailable("the reports were lost"))
            self._done += reading.rows
            self._done_end = max(self._done_end, reading.end)
        if self._on_the_way:
            late = time.monotonic() - self._on_the_way[0].at
            if late > self._settings.acknowledge_timeout_seconds:
                owed = self._emitter.owed
                raise LogUnavailable(f"{owed} events were not acknowledged in {late:.1f} s")

    def _end_what_is_done(self) -> None:
        late = time.monotonic() - self._ended_at >= END_SECONDS
        if late or len(self._done) >= ROWS_MAX:
            self._ended_at = time.monotonic()
            self._end_rows()
            self._confirm()

    def _beat(self) -> None:
        """Show the server that we are there, and let the slot of an idle database move on."""
        self._stream.beat()
        if time.monotonic() - self._beaten_at >= self._settings.heartbeat_seconds:
            self._beaten_at = time.monotonic()
            with postgres.transaction(self._session()) as session:
                self._outbox.beat(session)

    def _end_rows(self) -> None:
        """End the rows of the outbox whose events are all acknowledged."""
        if not self._done:
            return
        with postgres.transaction(self._session()) as session:
            self._outbox.hasten(session)
            self._outbox.end(session, self._done)
            failpoints.hit("before_note", lost=DatabaseUnavailable("the update's reply was lost"))
        failpoints.hit("after_note", lost=DatabaseUnavailable("the commit's reply was lost"))
        self._done.clear()

    def _confirm(self) -> None:
        """Let the server forget what is noted; with nothing on its way, all that it has sent."""
        end = self._done_end if self._on_the_way else max(self._done_end, self._stream.seen)
        self._stream.confirm(end)
