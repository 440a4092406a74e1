"""PostgreSQL, the engine that decides. The only home of psycopg and Alembic.

    sessions.py      blocking sessions and transactions, who calls and who listens
    pools.py         sessions of asyncio processes
    translation.py   psycopg's errors as ours
    schema.py        named statements, migrations
    replication.py   a replication session: what the write-ahead log brings, and what is done with
    pgoutput.py      what its messages say

Needs PostgreSQL 17 or newer, for transaction_timeout.
"""

from firstcome.postgres.pgoutput import Commit, Decoder, Insert
from firstcome.postgres.pools import AsyncConnection, AsyncPool, Statements, answered
from firstcome.postgres.replication import ReplicationStream
from firstcome.postgres.schema import Migrated, migrate, queries
from firstcome.postgres.sessions import (
    AS_SET,
    CALL_SECONDS,
    Caller,
    Connection,
    Listener,
    Row,
    Timeouts,
    connect,
    transaction,
)
from firstcome.postgres.translation import BEYOND_THE_LIMIT, translated

__all__ = [
    "AS_SET",
    "BEYOND_THE_LIMIT",
    "CALL_SECONDS",
    "AsyncConnection",
    "AsyncPool",
    "Caller",
    "Commit",
    "Connection",
    "Decoder",
    "Insert",
    "Listener",
    "Migrated",
    "ReplicationStream",
    "Row",
    "Statements",
    "Timeouts",
    "answered",
    "connect",
    "migrate",
    "queries",
    "transaction",
    "translated",
]
