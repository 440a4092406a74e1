"""The polling relay: takes rows of the outbox, publishes, waits for the brokers, ends the rows.

Beside the path: outbox -> [relay.polling] -> eventlog.emitter -> the topic of issued coupons

One transaction a look, whose lock lets one relay work at a time; others stand by. Nothing is
remembered between two looks, so nothing can be skipped. A relay that dies, or a broker that is
away, leaves the rows where they are: at least once. Recorders wake it; should the call be lost,
it looks by itself every relay.poll_seconds.
"""

import time
from collections.abc import Callable
from threading import Event

from firstcome import failpoints, postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable
from firstcome.eventlog.emitter import Emitter
from firstcome.logs import get_logger
from firstcome.relay.outbox import CHANNEL, Outbox, OutboxRow
from firstcome.settings import RelaySettings

log = get_logger()
RETRY_PAUSE_SECONDS = 0.1  # the first one; each further pause is twice as long
FORGET_SECONDS = 10.0


class PollingRelay:
    """For one thread."""

    def __init__(
        self,
        settings: RelaySettings,
        connect: Callable[[], postgres.Connection],
        listen: Callable[[str], postgres.Listener],
        emitter: Emitter,
    ) -> None:
        """`listen`: opens a session that hears calls on a channel."""
        self._settings = settings
        self._connect = connect
        self._listen = listen
        self._outbox = Outbox(settings)
        self._emitter = emitter
        self._connection: postgres.Connection | None = None
        self._listener: postgres.Listener | None = None
        self._pause = 0.0
        self._forgot_at = time.monotonic()

    def run(self, stop: Event, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; engines that are away are logged and tried again.

        Calls `ready` when it has first looked and published what there was.
        """
        said = False
        try:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    published = self.run_once()
                    if not said:
                        said = True
                        ready()
                    if published < self._settings.events_max:
                        self._wait(stop, began)
                except (DatabaseUnavailable, LogUnavailable) as error:
                    self._wait_longer(stop, error)
        finally:
            self.close()

    def run_once(self) -> int:
        """Publish the oldest rows; return how many events, 0 also while another relay works.

        Raises DatabaseUnavailable, LogUnavailable; then call again: the rows are still there.
        """
        connection = self._session()
        with postgres.transaction(connection):
            if not self._outbox.lock(connection):
                return 0
            rows = self._outbox.take(connection)
            failpoints.hit("after_take", lost=DatabaseUnavailable("the rows' reply was lost"))
            if rows:
                self._publish(connection, rows)
        if rows:
            failpoints.hit("after_note", lost=DatabaseUnavailable("the commit's reply was lost"))
        self._forget(connection)
        self._pause = 0.0
        return sum(row.events for row in rows)

    def close(self) -> None:
        """End every session; what is not acknowledged stays in the outbox."""
        self._emitter.close()
        for session in (self._connection, self._listener):
            if session is not None:
                session.close()
        self._connection = self._listener = None

    def _publish(self, connection: postgres.Connection, rows: list[OutboxRow]) -> None:
        ranges = [each for row in rows for each in row.ranges]
        # One time for both: the server ends a session that is idle in a transaction for longer.
        until = time.monotonic() + self._settings.acknowledge_timeout_seconds
        self._emitter.hand_over(self._outbox.events(connection, ranges), until)
        self._emitter.settle(until)
        failpoints.hit("after_emit", lost=LogUnavailable("the reports were lost"))
        self._outbox.settle(connection, rows)
        failpoints.hit("before_note", lost=DatabaseUnavailable("the update's reply was lost"))

    def _forget(self, connection: postgres.Connection) -> None:
        if time.monotonic() - self._forgot_at < FORGET_SECONDS:
            return
        self._forgot_at = time.monotonic()
        with postgres.transaction(connection):
            self._outbox.forget(connection)

    def _session(self) -> postgres.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _wait(self, stop: Event, began: float) -> None:
        """Wait for a call, but no shorter than one look after the other may begin."""
        if self._listener is None or self._listener.closed:
            # Rows that were committed before it listened are found by the next look.
            self._listener = self._listen(CHANNEL)
            return
        self._listener.wait(self._settings.poll_seconds)
        stop.wait(max(0.0, began + self._settings.interval_seconds - time.monotonic()))

    def _wait_longer(self, stop: Event, error: Exception) -> None:
        self.close()
        longest = self._settings.retry_pause_seconds_max
        self._pause = min(longest, max(RETRY_PAUSE_SECONDS, 2 * self._pause))
        log.warning("relay_interrupted", again_in_seconds=self._pause, reason=str(error))
        stop.wait(self._pause)
