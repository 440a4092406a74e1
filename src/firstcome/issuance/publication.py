"""Publication of dead letters: the table is the outbox, a topic carries the copies.

Beside the path: dead_letters -> [issuance.publication] -> firstcome.issuance-dead-letters.v1

Runs in a thread of its own within the sweeper process, so that neither a broker that is
away nor a long rebuild holds the other up. At least once: a letter counts as published when
a broker has acknowledged it; until then it is handed over again. Several may run: repeats carry
the same dead_letter_id. It also closes letters whose claims were recorded after all.
"""

from collections.abc import Callable
from datetime import datetime
from threading import Event
from time import monotonic
from typing import NamedTuple, Protocol

import msgspec

from firstcome import failpoints, postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable
from firstcome.issuance.letter import Letter
from firstcome.logs import get_logger

log = get_logger()
_QUERIES = postgres.queries("dead_letters")

EVENT_TYPE = "firstcome.issuance-dead-letter.v1"
SOURCE = "/firstcome/recorder"
LETTERS_MAX = 500  # of one tick
CLOSE_SECONDS = 10.0  # between two looks for letters whose claims were recorded after all
# In base64 it stays below the megabyte that brokers take by default.
PAYLOAD_BYTES_MAX = 600_000


class Publisher(Protocol):
    """What carries copies to the topic; eventlog.publisher is the one."""

    @property
    def under_way(self) -> list[int]:
        """Ids that were handed over and not reported yet."""
        ...

    def publish(self, id_: int, value: bytes) -> None:
        """Hand a record over. Raises LogUnavailable."""
        ...

    def reported(self) -> list[int]:
        """Return the ids acknowledged since the last call."""
        ...


class DeadLetterEvent(msgspec.Struct, frozen=True):
    """The value of a record; a payload (base64) too large for one is left to the table."""

    dead_letter_id: int
    campaign_id: int | None
    epoch: int | None
    position: int | None
    user_id: str | None
    attempt: int | None
    requested_at: float | None
    topic: str | None
    partition: int | None
    offset: int | None
    reason: str
    detail: str
    payload: bytes | None
    payload_omitted: bool
    attempts: int
    created_at: datetime


class Published(NamedTuple):
    """What one tick did."""

    handed_over: int = 0
    acknowledged: int = 0
    closed: int = 0


class Publication:
    """For one thread."""

    def __init__(
        self, connect: Callable[[], postgres.Connection], publisher: Publisher, tick_seconds: float
    ) -> None:
        self._connect = connect
        self._publisher = publisher
        self._tick_seconds = tick_seconds
        self._connection: postgres.Connection | None = None
        self._acknowledged: list[int] = []
        self._closed_at = 0.0

    def run(self, stop: Event) -> None:
        """Publish until `stop` is set; engines that are away are logged and tried again."""
        try:
            while not stop.is_set():
                try:
                    self.run_once()
                except (DatabaseUnavailable, LogUnavailable) as error:
                    self.close()
                    log.warning("publication_interrupted", reason=str(error))
                stop.wait(self._tick_seconds)
        finally:
            self.close()

    def run_once(self) -> Published:
        """Note what was acknowledged, hand the next letters over; never waits for a broker.

        Raises DatabaseUnavailable, LogUnavailable; then call again.
        """
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        acknowledged = self._note_acknowledged(self._connection)
        closed = self._close_recorded(self._connection)
        parameters = {"under_way": self._publisher.under_way, "rows": LETTERS_MAX}
        with postgres.transaction(self._connection) as connection:
            rows = connection.execute(_QUERIES["unpublished"], parameters).fetchall()
        if rows:
            failpoints.hit("before_publish", lost=DatabaseUnavailable("the session broke"))
        for row in rows:
            letter = Letter.of(row)
            self._publisher.publish(letter.dead_letter_id, encoded(letter))
        return Published(len(rows), acknowledged, closed)

    def close(self) -> None:
        """End the session. What was not acknowledged yet is published by the next one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _note_acknowledged(self, connection: postgres.Connection) -> int:
        # Kept until the table has them: they are reported once only.
        self._acknowledged += self._publisher.reported()
        if not self._acknowledged:
            return 0
        failpoints.hit("after_publish", lost=DatabaseUnavailable("the session broke"))
        with postgres.transaction(connection):
            connection.execute(_QUERIES["published"], {"dead_letter_ids": self._acknowledged})
        noted, self._acknowledged = len(self._acknowledged), []
        return noted

    def _close_recorded(self, connection: postgres.Connection) -> int:
        if self._closed_at and monotonic() - self._closed_at < CLOSE_SECONDS:
            return 0
        with postgres.transaction(connection):
            closed = connection.execute(_QUERIES["close_recorded"]).rowcount
        self._closed_at = monotonic()
        return closed


def encoded(letter: Letter) -> bytes:
    """Return the value of a letter's record."""
    fields = {name: value for name, value in letter._asdict().items() if name in _FIELDS}
    omitted = len(letter.payload or b"") > PAYLOAD_BYTES_MAX
    if omitted:
        fields["payload"] = None
    return msgspec.json.encode(DeadLetterEvent(**fields, payload_omitted=omitted))


_FIELDS = frozenset(DeadLetterEvent.__struct_fields__)
