"""Sessions, errors and migrations on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, closing
from multiprocessing import get_context

import psycopg
import pytest
import uvloop

from firstcome import postgres
from firstcome.errors import BadRecord, DatabaseUnavailable, RowExists
from firstcome.settings import PostgresSettings, Settings
from tests.integration.claimed import open_campaign

pytestmark = pytest.mark.integration

Connect = Callable[[], postgres.Connection]


def test_migrate_makes_the_tables_once(empty_database: PostgresSettings) -> None:
    # Processes: Alembic keeps its context in module globals.
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as processes:
        migrated = list(processes.map(postgres.migrate, [empty_database] * 3))
    assert sorted(each.before or "" for each in migrated) == ["", "0004", "0004"]
    assert {each.after for each in migrated} == {"0004"}
    with closing(postgres.connect(empty_database)) as connection:
        assert connection.execute("SELECT count(*) FROM campaigns").fetchone() == (0,)


def test_database_without_tables_says_what_to_do(empty_database: PostgresSettings) -> None:
    with (
        closing(postgres.connect(empty_database)) as connection,
        pytest.raises(DatabaseUnavailable, match="firstcome migrate"),
        postgres.transaction(connection),
    ):
        connection.execute("SELECT 1 FROM campaigns")


def test_session_carries_its_timeouts_and_its_name(settings: Settings) -> None:
    chosen = postgres.Timeouts(statement_seconds=0, lock_seconds=20, transaction_seconds=0)
    query = """SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout',
        'lock_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')"""
    with closing(postgres.connect(settings.postgres, name="one")) as connection:
        assert dict(connection.execute(query).fetchall()) == {
            "statement_timeout": "8000",
            "lock_timeout": "5000",
            "transaction_timeout": "10000",
            "idle_in_transaction_session_timeout": "5000",
        }
        assert connection.info.get_parameters()["application_name"] == "one"
    with closing(postgres.connect(settings.postgres, timeouts=chosen)) as connection:
        assert dict(connection.execute(query).fetchall()) == {
            "statement_timeout": "0",
            "lock_timeout": "20000",
            "transaction_timeout": "0",
            "idle_in_transaction_session_timeout": "0",
        }


def test_server_ends_a_stopped_client_and_frees_its_locks(
    settings: Settings, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    hasty = settings.postgres.model_copy(update={"transaction_timeout_seconds": 0.4})
    lock = "SELECT 1 FROM campaigns WHERE campaign_id = %s FOR UPDATE"
    with closing(postgres.connect(hasty)) as stopped:
        stopped.execute(lock, (campaign_id,))
        assert connection.execute(lock, (campaign_id,)).fetchone() == (1,)
        with pytest.raises(DatabaseUnavailable), postgres.transaction(stopped):
            stopped.execute("SELECT 1")


def test_every_writer_is_held_to_the_limit_and_to_a_campaign(
    connect: Connect, connection: postgres.Connection
) -> None:
    number = open_campaign(connection, stock=2)
    insert = """INSERT INTO issuances (campaign_id, position, epoch, status, user_id)
        SELECT %s, n, 1, 'ISSUED', 'u' || n FROM generate_series(1, %s) AS n"""
    for parameters, said in (((number, 3), "beyond the limit 2"), ((number + 1, 1), "no campaign")):
        with (
            closing(connect()) as session,
            pytest.raises(BadRecord, match=said),
            postgres.transaction(session),
        ):
            session.execute(insert, parameters)
    connection.execute(insert, (number, 2))


def test_transaction_keeps_nothing_after_an_error(
    connect: Connect, connection: postgres.Connection
) -> None:
    def half_done(session: postgres.Connection) -> None:
        with postgres.transaction(session):
            open_campaign(session)
            session.execute("SELECT 1 / 0")

    with closing(connect()) as session, pytest.raises(BadRecord):
        half_done(session)
    assert connection.execute("SELECT count(*) FROM campaigns").fetchone() == (0,)


@pytest.mark.parametrize(
    ("code", "error", "certain"),
    [
        ("FC001", BadRecord, None),
        ("23502", BadRecord, None),
        ("23505", RowExists, None),
        ("22003", BadRecord, None),
        ("40P01", DatabaseUnavailable, True),
        ("40001", DatabaseUnavailable, True),
        ("53100", DatabaseUnavailable, True),
        ("55P03", DatabaseUnavailable, True),
        ("57014", DatabaseUnavailable, True),
        ("57P01", DatabaseUnavailable, False),
        ("08006", DatabaseUnavailable, False),
        ("58030", DatabaseUnavailable, False),
        ("25006", DatabaseUnavailable, True),
        ("42601", psycopg.Error, None),
    ],
)
def test_errors_leave_as_ours(
    connect: Connect, code: str, error: type[Exception], certain: bool | None
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{code}'; END $$"
    with (
        closing(connect()) as session,
        pytest.raises(error, match="planted") as caught,
        postgres.transaction(session),
    ):
        session.execute(raising.encode())
    assert getattr(caught.value, "certain", None) == certain
    if code == "FC001":
        assert isinstance(caught.value, BadRecord)
        assert caught.value.reason == "BEYOND_LIMIT"


@asynccontextmanager
async def pool_of(settings: PostgresSettings) -> AsyncIterator[postgres.AsyncPool]:
    """Lend a pool. One that is left open after a failure would keep its loop from ending."""
    pool = postgres.AsyncPool(settings)
    try:
        yield pool
    finally:
        await pool.close()


def test_queries_of_a_file_are_found_by_name() -> None:
    found = postgres.queries("issuance")
    assert found["rows_at"].startswith("-- What is at these positions now.\nSELECT")
    assert "-- name:" not in "".join(found.values())


async def test_pool_goes_on_after_the_server_dropped_its_sessions(
    settings: Settings, connection: postgres.Connection
) -> None:
    async with pool_of(settings.postgres) as pool:
        async with pool.transaction() as session:
            await session.execute("SELECT 1")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'firstcome-api' AND datname = current_database()"
        )
        async with pool.transaction() as session:
            found = await session.execute("SELECT 2")
            assert await found.fetchone() == (2,)


async def test_pool_lends_no_more_sessions_than_it_may(settings: Settings) -> None:
    narrow = settings.postgres.model_copy(
        update={"pool_connections_max": 1, "pool_timeout_seconds": 1.0}
    )
    async with pool_of(narrow) as pool, pool.transaction():
        with pytest.raises(DatabaseUnavailable):
            async with pool.transaction():
                pytest.fail("a second session was lent")


def test_pool_works_on_uvloop(settings: Settings) -> None:
    async def ask() -> int:
        async with pool_of(settings.postgres) as pool, pool.transaction() as session:
            found = await session.execute("SELECT 7")
            row = await found.fetchone()
        assert row is not None
        return int(row[0])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) == 7
