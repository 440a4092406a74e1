"""The confirmer: reads events back that Kafka Connect has published, and ends rows of the outbox.

Beside the path: the topic of issued coupons -> [relay.confirming] -> outbox

It publishes nothing. What it sees it notes in `published`; rows of which every position is noted
are ended, so what waits is what is in the outbox, as with every relay. Offsets are committed after
that: a crash repeats what changes nothing. Several may work at once: each sees some partitions,
and the notes are everybody's.
"""

import time
from collections.abc import Callable
from threading import Event

from firstcome import failpoints, postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable
from firstcome.eventlog.consumer import Consumer, Polled
from firstcome.eventlog.issued import event_id
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.relay.look import FORGET_SECONDS
from firstcome.relay.outbox import Outbox, ranges_of
from firstcome.relay.pause import Pause
from firstcome.settings import RelaySettings

log = get_logger()
ASSIGNMENT_SECONDS = 10.0  # one without partitions is a spare, and ready all the same
TELL_SECONDS = 60.0
PAGES_MAX = 5  # of rows, between two polls
# Rounds through the outbox after something was noted: the one that is under way, and a whole one.
ROUNDS = 2


class Confirmer:
    """For one thread."""

    def __init__(
        self,
        settings: RelaySettings,
        connect: Callable[[], postgres.Connection],
        join: Callable[[], Consumer],
    ) -> None:
        """`join`: becomes a member of the group that reads events back."""
        self._settings = settings
        self._connect = connect
        self._join = join
        self._outbox = Outbox(settings)
        self._connection: postgres.Connection | None = None
        self._consumer: Consumer | None = None
        self._after = 0  # the last row looked at; rows are looked at in turn
        self._rounds = ROUNDS
        self._pause = Pause(settings.retry_pause_seconds_max)
        self._forgot_at = self._told_at = time.monotonic()

    def run(self, stop: Event, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; engines that are away are logged and tried again.

        Calls `ready` when it has its partitions, or is a spare.
        """
        said, patience = False, time.monotonic() + ASSIGNMENT_SECONDS
        try:
            while not stop.is_set():
                try:
                    self.run_once()
                    if not said and (self.assigned or time.monotonic() > patience):
                        said = True
                        ready()
                except (DatabaseUnavailable, LogUnavailable) as error:
                    self._wait_longer(stop, error)
        finally:
            self.close()

    @property
    def assigned(self) -> int:
        """How many partitions this one reads now."""
        return len(self._consumer.assigned) if self._consumer else 0

    def run_once(self) -> int:
        """Read for relay.poll_seconds at most, and end what is complete; return events seen.

        Raises DatabaseUnavailable, LogUnavailable; then call `close`, and again: what was not
        noted is read again.
        """
        consumer, connection = self._group(), self._session()
        polled = consumer.poll(self._settings.events_max, self._settings.poll_seconds)
        seen = _seen(polled)
        if seen:
            self._rounds = ROUNDS
        if self._rounds:
            with postgres.transaction(connection):
                self._outbox.note(connection, ranges_of(seen))
                self._end_complete(connection)
                failpoints.hit("before_note", lost=DatabaseUnavailable("the reply was lost"))
            failpoints.hit("after_note", lost=DatabaseUnavailable("the commit's reply was lost"))
        catalogue.PUBLISHED.add(len(seen))
        consumer.done(polled)
        consumer.commit()
        self._forget(connection)
        self._tell_overdue(connection)
        self._pause.over()
        return len(seen)

    def close(self) -> None:
        """Leave the group and end the session; what was not noted is read again."""
        for open_one in (self._consumer, self._connection):
            if open_one is not None:
                open_one.close()
        self._consumer = self._connection = None

    def _end_complete(self, connection: postgres.Connection) -> None:
        for _ in range(PAGES_MAX):
            page = self._outbox.end_page(connection, self._after)
            self._after = page.last or 0
            if page.last is None:
                self._rounds -= 1
                return

    def _forget(self, connection: postgres.Connection) -> None:
        if time.monotonic() - self._forgot_at < FORGET_SECONDS:
            return
        self._forgot_at = time.monotonic()
        # An event may be here before its row can be seen: its transaction is yet to end.
        self._rounds = max(self._rounds, 1)
        with postgres.transaction(connection):
            self._outbox.forget(connection)

    def _tell_overdue(self, connection: postgres.Connection) -> None:
        """Say what nobody has published in time: only this process can know."""
        if time.monotonic() - self._told_at < TELL_SECONDS:
            return
        self._told_at = time.monotonic()
        with postgres.transaction(connection):
            overdue = self._outbox.overdue(connection, self._settings.overdue_seconds)
        if overdue.rows:
            log.error(
                "events_overdue",
                **overdue._asdict(),
                advice="see whether the connector's task runs, and `firstcome relay status`; what "
                "it has lost is published by `firstcome events replay CAMPAIGN --missing`",
            )

    def _session(self) -> postgres.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _group(self) -> Consumer:
        if self._consumer is None:
            self._consumer = self._join()
        return self._consumer

    def _wait_longer(self, stop: Event, error: Exception) -> None:
        catalogue.RELAY_INTERRUPTED.add(1, "engine_away")
        self.close()
        pause = self._pause.longer()
        log.warning("relay_interrupted", again_in_seconds=pause, reason=str(error))
        stop.wait(pause)


def _seen(polled: list[Polled]) -> list[int]:
    """Return the ids of the events among some records; others than ours write there, too."""
    seen = [number for each in polled if (number := event_id(each.headers, each.value)) is not None]
    if foreign := len(polled) - len(seen):
        log.warning("events_without_id", records=foreign, last=polled[-1].origin._asdict())
    return seen
