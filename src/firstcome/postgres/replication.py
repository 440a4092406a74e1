"""A replication session: what the write-ahead log brings, and how far it is done with.

psycopg has no interface of its own for this; its `pq` layer is libpq as it is, and libpq can. The
server keeps the write-ahead log from the position that was confirmed last, and sends from there
after every new start. It ends a session that says nothing for SILENCE_SECONDS, so that a reader
that stands still is rid of its slot.
"""

import select
import time
from collections.abc import Sequence
from struct import Struct

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import error_from_result

from firstcome.errors import DatabaseUnavailable
from firstcome.postgres.sessions import AS_SET, conninfo
from firstcome.postgres.translation import translated
from firstcome.settings import PostgresSettings

SILENCE_SECONDS = 10.0
START_SECONDS = 5.0
_DATA, _KEEPALIVE = b"wk"
_HEADER_BYTES = 25  # before what the output plugin says: `w`, two positions, a time
_keepalive = Struct("!xQQB").unpack_from  # the server's position, its time, whether to answer
_status = Struct("!cQQQQB").pack
_EPOCH_2000 = 946_684_800


class ReplicationStream:
    """For one thread. Raises DatabaseUnavailable from every method; then it can only be closed."""

    def __init__(
        self,
        settings: PostgresSettings,
        slot: str,
        publications: Sequence[str],
        name: str,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """Begin to read a slot. The error of one that somebody else reads has sqlstate 55006."""
        self._silence_seconds = silence_seconds
        self.seen = 0  # the server has sent everything up to this position of the write-ahead log
        self._confirmed = 0
        self._answer_at = 0.0
        self._heard_at = self._told_at = time.monotonic()
        with translated():
            self._connection = pq.PGconn.connect(_address(settings, name, silence_seconds).encode())
            try:
                self._start(slot, publications)
            except BaseException:
                self.close()
                raise

    def read(self, count: int) -> list[memoryview]:
        """Return what has come, at most `count` messages of the output plugin, in their order."""
        self._see_that_it_is_ours()
        messages: list[memoryview] = []
        heard = asked = False
        connection = self._connection
        with translated():
            while len(messages) < count:
                size, data = connection.get_copy_data(1)
                if size > 0:
                    if data[0] == _DATA:
                        messages.append(data[_HEADER_BYTES:])
                    elif data[0] == _KEEPALIVE:
                        self._hear(data)
                    heard, asked = True, False
                elif size < 0:
                    raise _error(connection.get_result())
                elif asked:
                    break
                else:
                    connection.consume_input()
                    asked = True
        self._listen(heard=heard)
        return messages

    def wait(self, seconds: float) -> None:
        """Return when something has come, or after a time."""
        with translated():
            select.select([self._connection.socket], [], [], max(0.0, seconds))

    def confirm(self, position: int) -> None:
        """Let the server forget the write-ahead log up to a position; it hears of it at once."""
        if position > self._confirmed:
            self._confirmed = position
            self._tell()

    def beat(self) -> None:
        """Tell the server that we are there, when it is time to. Call it often."""
        if time.monotonic() >= self._answer_at:
            self._tell()

    def end(self, seconds: float) -> None:
        """Close after the server has heard what was confirmed, or after a time."""
        until = time.monotonic() + seconds
        try:
            with translated():
                self._connection.put_copy_end()
                self._connection.flush()
                while self._connection.get_copy_data(1)[0] >= 0 and time.monotonic() < until:
                    select.select([self._connection.socket], [], [], 0.1)
                    self._connection.consume_input()
        finally:
            self.close()

    def close(self) -> None:
        """Close at once."""
        self._connection.finish()

    def _start(self, slot: str, publications: Sequence[str]) -> None:
        connection = self._connection
        if connection.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(connection.get_error_message())
        names = ",".join(publications)
        connection.send_query(
            f'START_REPLICATION SLOT "{slot}" LOGICAL 0/0'
            f" (proto_version '1', publication_names '{names}', binary 'true')".encode()
        )
        until = time.monotonic() + START_SECONDS
        while connection.is_busy():
            if time.monotonic() >= until:
                raise DatabaseUnavailable("PostgreSQL did not begin to send in time")
            select.select([connection.socket], [], [], 0.1)
            connection.consume_input()
        result = connection.get_result()
        if result is None or result.status != pq.ExecStatus.COPY_BOTH:
            raise _error(result)
        connection.nonblocking = 1

    def _hear(self, data: memoryview) -> None:
        position, _, answer = _keepalive(data)
        self.seen = max(self.seen, position)
        if answer:
            self._answer_at = 0.0

    def _see_that_it_is_ours(self) -> None:
        """What came before we stood still is somebody else's to tell: the server has let us go."""
        silent = time.monotonic() - self._told_at
        if silent > self._silence_seconds:
            raise DatabaseUnavailable(f"this process stood still for {silent:.1f} s")

    def _listen(self, *, heard: bool) -> None:
        """Count the time in which nothing came, not even an answer to what we tell."""
        now = time.monotonic()
        if heard:
            self._heard_at = now
        elif now - self._heard_at > self._silence_seconds:
            raise DatabaseUnavailable(f"PostgreSQL sent nothing for {self._silence_seconds:g} s")

    def _tell(self) -> None:
        done = self._confirmed
        micros = int((time.time() - _EPOCH_2000) * 1_000_000)
        with translated():
            # The last byte asks for an answer: an idle server's position moves on too.
            if self._connection.put_copy_data(_status(b"r", done, done, done, micros, 1)) < 0:
                raise psycopg.OperationalError(self._connection.get_error_message())
            self._connection.flush()
        self._told_at = time.monotonic()
        self._answer_at = self._told_at + self._silence_seconds / 10


def _error(result: "pq.abc.PGresult | None") -> DatabaseUnavailable:
    """Return why there is no stream; whatever it is, a look at the slot says more."""
    if result is None or result.status != pq.ExecStatus.FATAL_ERROR:
        return DatabaseUnavailable("PostgreSQL ended the stream of its write-ahead log")
    error = error_from_result(result)
    said = str(error).strip()
    return DatabaseUnavailable(
        f"PostgreSQL ended the stream of its write-ahead log ({error.sqlstate}): {said}",
        sqlstate=error.sqlstate,
    )


def _address(settings: PostgresSettings, name: str, silence_seconds: float) -> str:
    """Return the address of a replication session: one without the timeouts of transactions.

    A large one is sent as fast as it is read, and decoding is a transaction to the server.
    """
    address = conninfo(settings, name, AS_SET)
    options = conninfo_to_dict(address)["options"]
    none = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
    further = [f"-c {option}=0" for option in none]
    further.append(f"-c wal_sender_timeout={round(silence_seconds * 1000)}")
    return make_conninfo(
        address, replication="database", options=" ".join([str(options), *further])
    )
