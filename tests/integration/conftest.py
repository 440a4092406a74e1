"""Real engines for the integration tests, and a database of its own for each test.

FIRSTCOME_TEST_STATE names the state folder of engines that run already; otherwise
they are started once for the session and removed at its end. Databases are clones of
one migrated template; topics and groups have fresh names.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from firstcome import postgres
from firstcome.eventlog.admin import LogAdmin
from firstcome.settings import PostgresSettings, Settings
from running import started
from tests.integration.engines import OwnEngines, settings_of
from tests.integration.issuing import Issuing


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """PostgreSQL, Valkey and Kafka; the settings that reach them."""
    if named := os.environ.get("FIRSTCOME_TEST_STATE"):
        yield settings_of(Path(named))
        return
    state = tmp_path_factory.mktemp("engines") / "stack"
    with started(state, "--engines-only"):
        yield settings_of(state)


@pytest.fixture(scope="session")
def template(engines: Settings) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    _administer(engines, "CREATE DATABASE {}", name)
    postgres.migrate(_database(engines.postgres, name))
    yield name
    _administer(engines, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def settings(engines: Settings, template: str) -> Iterator[Settings]:
    """Settings with a database, a topic prefix and a consumer group of this test alone."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _administer(engines, "CREATE DATABASE {} TEMPLATE {}", name, template)
    kafka = engines.kafka.model_copy(update={"topic_prefix": name, "group_id": name})
    yield engines.model_copy(update={"postgres": _database(engines.postgres, name), "kafka": kafka})
    _administer(engines, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def issuing(settings: Settings) -> Iterator[Issuing]:
    """Somebody who issues coupons as a recorder does; the topics are there."""
    LogAdmin(settings.kafka).create_topics()
    with Issuing(settings.postgres) as issuing:
        yield issuing


@pytest.fixture
def empty_database(engines: Settings) -> Iterator[PostgresSettings]:
    """A database without any table."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    _administer(engines, "CREATE DATABASE {}", name)
    yield _database(engines.postgres, name)
    _administer(engines, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def connect(settings: Settings) -> Callable[[], postgres.Connection]:
    """What opens a session with this test's database."""
    return lambda: postgres.connect(settings.postgres)


@pytest.fixture
def connection(connect: Callable[[], postgres.Connection]) -> Iterator[postgres.Connection]:
    """A session with this test's database; every statement commits by itself."""
    with closing(connect()) as session:
        session.autocommit = True
        yield session


def _database(settings: PostgresSettings, name: str) -> PostgresSettings:
    conninfo = make_conninfo(settings.url.get_secret_value(), dbname=name)
    return settings.model_copy(update={"url": SecretStr(conninfo)})


def _administer(settings: Settings, statement: str, *names: str) -> None:
    conninfo = make_conninfo(settings.postgres.url.get_secret_value(), dbname="postgres")
    with psycopg.connect(conninfo, autocommit=True) as session:
        session.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngines]:
    """Engines that tests of intake and appender stop."""
    engines = OwnEngines(tmp_path_factory.mktemp("stack"))
    yield engines
    engines.stack.down(wipe=True)
