"""PostgreSQL, the engine that decides: sessions, transactions, named queries, migrations.

The only home of psycopg and Alembic. Every session carries its timeouts on the
server's side, so that a stopped client cannot hold locks for ever. Every error
leaves as one of ours: DatabaseUnavailable (try again, later), RowExists (look it
up), BadRecord (these rows never go in), or psycopg's own, which then is a defect of the code.
Needs PostgreSQL 17 or newer, for transaction_timeout.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, LiteralString, NamedTuple, TypeVar, cast

import psycopg
import psycopg_pool
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from firstcome.errors import BadRecord, DatabaseUnavailable, RowExists
from firstcome.settings import DirectSettings, PostgresSettings

Connection = psycopg.Connection[tuple[Any, ...]]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
Row = tuple[Any, ...]
T = TypeVar("T")

_HERE = Path(__file__).parent
# A pool gives a session up that cannot be opened for so long, and opens another when one is asked
# for. By default it tries for 5 minutes with growing pauses, and lends nothing meanwhile.
_RECONNECT_SECONDS = 2.0
_left: set["asyncio.Task[Any]"] = set()  # nobody waits for them; asyncio keeps no task alive

# A position beyond the campaign's limit: raised by the trigger that guards law L1.
BEYOND_THE_LIMIT = "FC001"
# SQLSTATEs, or their beginnings, that another try may not meet: connection, serialisation and
# deadlock, resources, shutdown, timeouts, I/O; and what an operator is about to put right
# (no database, no rights, no tables yet, a standby that is not yet promoted).
_TRANSIENT = (
    *("08", "40", "53", "57P0", "58", "55P03", "57014", "25P03", "25P04"),
    *("28", "3D000", "25006", "42501", "42P01"),
)
_UNIQUE_VIOLATION = "23505"
_DATA = ("22", "23", BEYOND_THE_LIMIT)
# The server says by these that the transaction was rolled back.
_CERTAINLY_NOT_DONE = ("40", "53", "55", "57014", "42", "25006")


class Timeouts(NamedTuple):
    """Session timeouts that differ from the settings; 0 means none, None the setting."""

    statement_seconds: float | None = None
    lock_seconds: float | None = None
    transaction_seconds: float | None = None


AS_SET = Timeouts()


class Migrated(NamedTuple):
    """The schema's revision before and after; equal when there was nothing to do."""

    before: str | None
    after: str


def connect(
    settings: PostgresSettings, *, name: str = "firstcome", timeouts: Timeouts = AS_SET
) -> Connection:
    """Open a blocking session, autocommit off, known to the server as `name`.

    Raises DatabaseUnavailable. The caller closes it, also after an error:
    a session whose `closed` is true can only be thrown away.
    """
    with translated():
        return psycopg.connect(_conninfo(settings, name, timeouts))


@contextmanager
def transaction(connection: Connection, *, force_rollback: bool = False) -> Iterator[Connection]:
    """Run one transaction: commit at the end, roll back on any error, or in any case.

    Within another one it is a savepoint of it.

    Raises DatabaseUnavailable or BadRecord. DatabaseUnavailable.certain tells
    whether the transaction was certainly rolled back; otherwise nobody knows.
    """
    with translated(), connection.transaction(force_rollback=force_rollback):
        yield connection


async def answered(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Do some work with the database and return what it returns, or give up in time.

    A server that stands still keeps none of its own timeouts, and psycopg takes ten more seconds
    to cancel a statement of it: so whoever gives up leaves the work to end by itself. What
    it was doing may have been done. Raises DatabaseUnavailable, and what the work raises.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _leave(task)
        raise
    if not done:
        _leave(task)
        raise DatabaseUnavailable(f"PostgreSQL gave no answer within {seconds:g} s")
    return task.result()


def _leave(task: "asyncio.Task[Any]") -> None:
    """Cancel a task that nobody waits for any more."""
    _left.add(task)
    task.add_done_callback(_left.discard)
    # Its error is nobody's: without a look at it asyncio would complain.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    task.cancel()


class Listener:
    """A session that hears calls (NOTIFY) on one channel, and does nothing else."""

    def __init__(self, settings: PostgresSettings, channel: str, name: str) -> None:
        """Listen from now on. Raises DatabaseUnavailable."""
        with translated():
            self._connection = psycopg.connect(_conninfo(settings, name, AS_SET), autocommit=True)
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


class AsyncPool:
    """A few sessions for an asyncio process, opened when first used."""

    def __init__(self, settings: PostgresSettings, *, name: str = "firstcome-api") -> None:
        self._pool = psycopg_pool.AsyncConnectionPool(
            _conninfo(settings, name, AS_SET),
            min_size=0,
            max_size=settings.pool_connections_max,
            timeout=settings.pool_timeout_seconds,
            reconnect_timeout=_RECONNECT_SECONDS,
            # A server that has restarted leaves dead sessions in the pool; the check replaces them.
            check=psycopg_pool.AsyncConnectionPool.check_connection,
            open=False,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Lend a session for one transaction: commit at the end, roll back on any error.

        Raises as the blocking `transaction`; waits for a session at most
        postgres.pool_timeout_seconds.
        """
        with translated():
            if self._pool.closed:
                await self._pool.open(wait=False)
            async with self._pool.connection() as connection:
                yield connection

    async def close(self) -> None:
        """Close every session; the pool cannot be used afterwards."""
        await self._pool.close()


class Statements:
    """Sessions for single statements: each is a transaction of its own, committed by the server."""

    def __init__(self, settings: PostgresSettings, direct: DirectSettings) -> None:
        timeouts = Timeouts(
            statement_seconds=direct.statement_timeout_seconds,
            lock_seconds=direct.lock_timeout_seconds,
            transaction_seconds=direct.statement_timeout_seconds,
        )
        # By then a server at work has refused: no session was free, or the statement was too slow.
        self._answer_seconds = direct.pool_timeout_seconds + direct.statement_timeout_seconds
        self._pool = psycopg_pool.AsyncConnectionPool(
            _conninfo(settings, "firstcome-direct", timeouts),
            kwargs={"autocommit": True},
            min_size=0,
            max_size=direct.pool_connections_max,
            timeout=direct.pool_timeout_seconds,
            reconnect_timeout=_RECONNECT_SECONDS,
            open=False,
        )

    async def one(self, statement: LiteralString, values: Mapping[str, Any]) -> Row | None:
        """Run a statement and return its only row, None where there is none.

        Raises DatabaseUnavailable (certain: nothing was done), RowExists or BadRecord.
        """
        with translated():
            return await answered(self._one(statement, values), self._answer_seconds)

    async def _one(self, statement: LiteralString, values: Mapping[str, Any]) -> Row | None:
        if self._pool.closed:
            await self._pool.open(wait=False)
        async with self._pool.connection() as connection:
            found = await connection.execute(statement, values)
            return await found.fetchone()

    async def close(self) -> None:
        """Close every session; it cannot be used afterwards."""
        await self._pool.close()


@cache
def queries(file: str) -> dict[str, LiteralString]:
    """Return the named statements of sql/<file>.sql.

    A statement begins after the line `-- name: <its name>` and ends before the next such line.
    """
    text = (_HERE / "sql" / f"{file}.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    # The files are part of this package: as literal as a string in the code.
    blocks = zip(parts[1::2], parts[2::2], strict=True)
    return {name: cast(LiteralString, block.strip()) for name, block in blocks}


def migrate(settings: PostgresSettings) -> Migrated:
    """Bring the schema up to the newest revision, in one transaction; forward only.

    Idempotent, and safe to run from several places at once: an advisory lock
    lets one work and the others find nothing to do. Raises DatabaseUnavailable.
    """
    # Alembic brings SQLAlchemy: half a second that no other command should pay.
    import alembic.command
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(_HERE / "migrations").replace("%", "%%"))
    config.attributes["connect"] = lambda: connect(
        settings,
        name="firstcome-migrate",
        timeouts=Timeouts(statement_seconds=0, lock_seconds=60, transaction_seconds=0),
    )
    with translated():
        alembic.command.upgrade(config, "head")
    return Migrated(config.attributes["before"], config.attributes["after"])


@contextmanager
def translated() -> Iterator[None]:
    """Let psycopg's errors leave as ours."""
    try:
        yield
    except psycopg.Error as error:
        raise _translation(error) from error


def _translation(error: psycopg.Error) -> Exception:
    state = error.sqlstate
    said = str(error).strip() or type(error).__name__
    if state is None and isinstance(error, psycopg.DataError):
        return BadRecord(said, reason="REJECTED")
    if state == _UNIQUE_VIOLATION:
        return RowExists(said)
    if state is not None and state.startswith(_DATA):
        reason = "BEYOND_LIMIT" if state == BEYOND_THE_LIMIT else "REJECTED"
        return BadRecord(said, reason=reason)
    if state == "42P01":
        said = "the database has no tables of firstcome: run `firstcome migrate`"
    if isinstance(error, psycopg_pool.PoolTimeout | psycopg_pool.TooManyRequests):
        return DatabaseUnavailable(f"no session to PostgreSQL was free: {said}", certain=True)
    if state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseUnavailable(f"PostgreSQL gave no answer: {said}")
    if state is not None and state.startswith(_TRANSIENT):
        certain = state.startswith(_CERTAINLY_NOT_DONE)
        return DatabaseUnavailable(
            f"PostgreSQL refused ({state}): {said}", certain=certain, sqlstate=state
        )
    return error


def _conninfo(settings: PostgresSettings, name: str, timeouts: Timeouts) -> str:
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
