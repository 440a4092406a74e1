"""Sessions of asyncio processes: pools, and answers that do not come."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString, NamedTuple, TypeVar

import psycopg
import psycopg_pool

from firstcome.errors import DatabaseUnavailable
from firstcome.postgres.sessions import AS_SET, Row, Timeouts, conninfo
from firstcome.postgres.translation import translated
from firstcome.settings import DirectSettings, PostgresSettings

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
T = TypeVar("T")

# A pool gives a session up that cannot be opened for so long, and opens another when one is asked
# for. By default it tries for 5 minutes with growing pauses, and lends nothing meanwhile.
_RECONNECT_SECONDS = 2.0
_left: set["asyncio.Task[Any]"] = set()  # nobody waits for them; asyncio keeps no task alive


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


class PoolState(NamedTuple):
    """A pool's sessions, and who waits for one."""

    open: int
    idle: int
    waiting: int


def _state(pool: "psycopg_pool.AsyncConnectionPool[Any]") -> PoolState:
    stats = pool.get_stats()
    return PoolState(
        stats.get("pool_size", 0), stats.get("pool_available", 0), stats.get("requests_waiting", 0)
    )


class AsyncPool:
    """A few sessions for an asyncio process, opened when first used."""

    def __init__(self, settings: PostgresSettings, *, name: str = "firstcome-api") -> None:
        self._pool = psycopg_pool.AsyncConnectionPool(
            conninfo(settings, name, AS_SET),
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

    @property
    def state(self) -> PoolState:
        """How many sessions there are, and who waits."""
        return _state(self._pool)

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
            conninfo(settings, "firstcome-direct", timeouts),
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

    @property
    def state(self) -> PoolState:
        """How many sessions there are, and who waits."""
        return _state(self._pool)

    async def close(self) -> None:
        """Close every session; it cannot be used afterwards."""
        await self._pool.close()
