"""Blocking sessions: transactions, and who listens for calls.

Every session carries its timeouts on the server's side, so that a stopped client cannot hold
locks for ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from firstcome.errors import DatabaseUnavailable
from firstcome.postgres.translation import translated
from firstcome.settings import PostgresSettings

# Calls are so far apart, each caller's. Whoever was called looks once more after that time: what
# was committed in between was not called for.
CALL_SECONDS = 0.02

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]


class Timeouts(NamedTuple):
    """Session timeouts that differ from the settings; 0 means none, None the setting."""

    statement_seconds: float | None = None
    lock_seconds: float | None = None
    transaction_seconds: float | None = None


AS_SET = Timeouts()


def connect(
    settings: PostgresSettings, *, name: str = "firstcome", timeouts: Timeouts = AS_SET
) -> Connection:
    """Open a blocking session, autocommit off, known to the server as `name`.

    Raises DatabaseUnavailable. The caller closes it, also after an error:
    a session whose `closed` is true can only be thrown away.
    """
    with translated():
        return psycopg.connect(conninfo(settings, name, timeouts))


@contextmanager
def transaction(connection: Connection, *, force_rollback: bool = False) -> Iterator[Connection]:
    """Run one transaction: commit at the end, roll back on any error, or in any case.

    Within another one it is a savepoint of it.

    Raises DatabaseUnavailable or BadRecord. DatabaseUnavailable.certain tells
    whether the transaction was certainly rolled back; otherwise nobody knows.
    """
    with translated(), connection.transaction(force_rollback=force_rollback):
        yield connection


class Caller:
    """Calls (NOTIFY) on one channel, for one session that commits each statement by itself.

    Never call in a transaction that writes: the server lets transactions that call commit one after
    the other, each with its own wait for the disk. See docs/decisions/0026.
    """

    def __init__(self, channel: str) -> None:
        self._statement = sql.SQL("NOTIFY {}").format(sql.Identifier(channel))
        self._called_at = -inf

    def call(self, connection: Connection) -> None:
        """Call, unless this caller has just done so. Raises DatabaseUnavailable."""
        now = monotonic()
        if now - self._called_at < CALL_SECONDS:
            return
        with translated():
            connection.execute(self._statement)
        self._called_at = now


class Listener:
    """A session that hears calls (NOTIFY) on one channel, and does nothing else."""

    def __init__(self, settings: PostgresSettings, channel: str, name: str) -> None:
        """Listen from now on. Raises DatabaseUnavailable."""
        with translated():
            self._connection = psycopg.connect(conninfo(settings, name, AS_SET), autocommit=True)
            self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    @property
    def closed(self) -> bool:
        """Whether it can only be thrown away."""
        return self._connection.closed

    def wait(self, seconds: float) -> bool:
        """Return whether somebody called, at once when he has. Raises DatabaseUnavailable."""
        with translated():
            heard = list(self._connection.notifies(timeout=seconds, stop_after=1))
            # Calls that have gathered meanwhile mean the same.
            heard += self._connection.notifies(timeout=0)
        return bool(heard)

    def close(self) -> None:
        """End the session."""
        self._connection.close()


def conninfo(settings: PostgresSettings, name: str, timeouts: Timeouts) -> str:
    """Return the address of a session with its timeouts. Raises DatabaseUnavailable."""
    url = settings.url.get_secret_value()
    try:
        own_options = conninfo_to_dict(url).get("options") or ""
    except psycopg.ProgrammingError as error:
        raise DatabaseUnavailable(f"postgres.url cannot be read: {error}", certain=True) from error
    transaction = _chosen(timeouts.transaction_seconds, settings.transaction_timeout_seconds)
    seconds = {
        "statement_timeout": _chosen(
            timeouts.statement_seconds, settings.statement_timeout_seconds
        ),
        "lock_timeout": _chosen(timeouts.lock_seconds, settings.lock_timeout_seconds),
        "transaction_timeout": transaction,
        # A client that has stopped between two statements holds its locks no longer than this.
        "idle_in_transaction_session_timeout": transaction / 2,
        # The server looks so often whether the client of a running statement is still there.
        "client_connection_check_interval": 1.0,
    }
    options = " ".join(f"-c {key}={round(value * 1000)}" for key, value in seconds.items())
    # Moments come as they leave us, in events and answers, whatever the server's own zone is.
    options += " -c timezone=UTC"
    return make_conninfo(
        url,
        application_name=name,
        connect_timeout=max(2, round(settings.connect_timeout_seconds)),
        options=f"{own_options} {options}".strip(),
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        # Sent but unacknowledged for so long: the network or the machine is gone.
        tcp_user_timeout=round(settings.statement_timeout_seconds * 1000),
    )


def _chosen(override: float | None, setting: float) -> float:
    return setting if override is None else override
