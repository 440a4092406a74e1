"""One look into the outbox: its oldest rows are published, then ended.

Beside the path: outbox -> [relay.look] -> eventlog.emitter -> the topic of issued coupons

One transaction a look, whose lock lets one relay look at a time. Nothing is remembered between
two looks, so nothing can be skipped. A relay that dies, or a broker that is away, leaves the rows
where they are: at least once.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from firstcome import failpoints, postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable
from firstcome.eventlog.emitter import Emitter
from firstcome.metrics import catalogue
from firstcome.relay.outbox import ROWS_MAX, Outbox, OutboxRow
from firstcome.settings import RelaySettings

FORGET_SECONDS = 10.0
ROOM_MIN = 10  # events


class Looked(NamedTuple):
    """What a look has come to."""

    events: int  # published
    all: bool  # nothing was left for the next one


class Look:
    """For one thread; holds a session, which others may use between two looks."""

    def __init__(
        self,
        settings: RelaySettings,
        connect: Callable[[], postgres.Connection],
        emitter: Emitter,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._outbox = Outbox(settings)
        self._emitter = emitter
        self._connection: postgres.Connection | None = None
        self._forgot_at = time.monotonic()
        self._room = settings.events_max  # less while the brokers are too slow for as many

    def run_once(self) -> Looked:
        """Publish the oldest rows; no event, and not all, while another relay works.

        Raises DatabaseUnavailable, LogUnavailable; then call again: the rows are still there.
        """
        connection = self.session()
        with postgres.transaction(connection):
            if not self._outbox.lock(connection):
                return Looked(0, all=False)
            rows = self._outbox.take(connection, self._room)
            failpoints.hit("after_take", lost=DatabaseUnavailable("the rows' reply was lost"))
            if rows:
                self._publish(connection, rows)
        if rows:
            catalogue.PUBLISHED.add(sum(row.events for row in rows))
            failpoints.hit("after_note", lost=DatabaseUnavailable("the commit's reply was lost"))
        self.forget()
        events = sum(row.events for row in rows)
        looked = Looked(events, all=events < self._room and len(rows) < ROWS_MAX)
        self._room = min(self._settings.events_max, 2 * self._room)
        return looked

    def forget(self) -> None:
        """Delete rows that were kept long enough, every now and then."""
        if time.monotonic() - self._forgot_at < FORGET_SECONDS:
            return
        self._forgot_at = time.monotonic()
        connection = self.session()
        with postgres.transaction(connection):
            self._outbox.forget(connection)

    def session(self) -> postgres.Connection:
        """Return the session, a new one if it has ended. Raises DatabaseUnavailable."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _publish(self, connection: postgres.Connection, rows: list[OutboxRow]) -> None:
        ranges = [each for row in rows for each in row.ranges]
        # One time for both: the server ends a session that is idle in a transaction for longer.
        until = time.monotonic() + self._settings.acknowledge_timeout_seconds
        try:
            self._emitter.hand_over(self._outbox.events(connection, ranges), until)
            self._emitter.flush(until)
        except LogUnavailable:
            # All of them are published again: as many as before might be too many for ever.
            self._room = max(ROOM_MIN, self._room // 2)
            raise
        failpoints.hit("after_emit", lost=LogUnavailable("the reports were lost"))
        self._outbox.end(connection, rows)
        failpoints.hit("before_note", lost=DatabaseUnavailable("the update's reply was lost"))
