"""What is sampled while a run is measured, against the real engines."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from claimed import open_campaign

from firstcome import postgres
from firstcome.bench.collect.answers import AnswersHeard
from firstcome.bench.collect.claims import Claims
from firstcome.bench.collect.collector import Collector, Source, Values
from firstcome.bench.collect.database import Database
from firstcome.bench.collect.gate import Redis
from firstcome.bench.collect.machine import Machine
from firstcome.bench.collect.samples import METRICS
from firstcome.bench.drop import Progress
from firstcome.errors import DatabaseUnavailable
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId, Engine
from firstcome.settings import PostgresSettings, RedisSettings, Settings

pytestmark = pytest.mark.integration

NAMES = {metric.name: metric for metric in METRICS}


@pytest.fixture
def gate(settings: Settings) -> Iterator[GateSession]:
    with GateSession.open(settings.redis) as session:
        yield session


def twice(source: Source) -> Values:
    """Look two times, for rates are since the last look; names and labels must be known ones."""
    source.read()
    values = source.read()
    source.close()
    for name, by_label in values.items():
        assert all((label != "") is bool(NAMES[name].label) for label in by_label), name
    return values


def test_database_is_looked_at_without_counting_who_looks(
    settings: Settings, connection: postgres.Connection
) -> None:
    values = twice(Database(settings.postgres))
    assert sum(values["postgres_connections"].values()) == 1, "the test's own session"
    assert values["postgres_connections_max"][""] > 10
    assert values["postgres_lock_waits"][""] == 0
    assert "postgres_commits_per_second" in values


def test_database_shows_who_waits_for_a_lock(
    settings: Settings, connection: postgres.Connection
) -> None:
    lock = "SELECT pg_advisory_xact_lock(7)"
    source = Database(settings.postgres)
    with connection.transaction():
        connection.execute(lock)
        waiting = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import psycopg, sys; psycopg.connect(sys.argv[1]).execute({lock!r})",
                settings.postgres.url.get_secret_value(),
            ]
        )
        for _ in range(1000):
            if waits := source.read()["postgres_lock_waits"][""]:
                break
        assert waits == 1
    assert waiting.wait(20) == 0
    source.close()


def test_redis_tells_memory_and_commands(settings: Settings) -> None:
    values = twice(Redis(settings.redis))
    assert values["redis_memory_bytes"][""] > 100_000
    assert values["redis_commands_per_second"][""] > 0


def test_processes_are_counted_with_their_children() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time\nblob = b'x' * 50_000_000\nprint(1, flush=True)\n"
         "while True: sum(range(1000))"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    machine = Machine(lambda: {"me": [os.getpid()], "kafka": [child.pid]})
    try:
        values = twice(machine)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    memory = values["process_memory_bytes"]
    assert memory["kafka"] > 50_000_000
    assert memory["me"] > memory["kafka"], "whose child it is"
    assert set(values["process_cpu_percent"]) == {"me", "kafka"}
    assert "broker_written_bytes_per_second" in values


def test_lag_of_claims_is_what_the_gate_gave_without_a_row(
    settings: Settings, connection: postgres.Connection, gate: GateSession
) -> None:
    LogAdmin(settings.kafka).create_topics()
    campaign_id = open_campaign(connection)
    gate.call("HSET", keys.gate(campaign_id), "position_last", 7)
    source = Claims(settings, Engine.KAFKA, lambda: [campaign_id])
    values = source.read()
    source.close()
    gate.call("DEL", keys.gate(campaign_id))
    assert values["issued_total"] == {"": 0}
    assert values["consumer_lag_claims"] == {"": 7}
    assert values["consumer_lag_records"] == {"": 0}


def test_lag_of_a_journal_is_what_its_group_has_not_done(
    settings: Settings, connection: postgres.Connection, gate: GateSession
) -> None:
    campaign_id = open_campaign(connection)
    journal = keys.journal(campaign_id, 1)
    source = Claims(settings, Engine.QUEUE, lambda: [campaign_id])
    assert source.read()["consumer_lag_records"] == {"": 0}, "no journal yet"
    gate.call("XGROUP", "CREATE", journal, "recorders", "0", "MKSTREAM")
    for _ in range(5):
        gate.call("XADD", journal, "*", "a", "b")
    gate.call("XREADGROUP", "GROUP", "recorders", "me", "COUNT", 2, "STREAMS", journal, ">")
    assert source.read()["consumer_lag_records"] == {"": 5}, "3 unread, 2 under way"
    source.close()
    gate.call("DEL", journal)


def test_nothing_is_asked_of_a_gate_where_there_is_none(
    settings: Settings, connection: postgres.Connection
) -> None:
    ids: list[CampaignId] = []
    elsewhere = settings.model_copy(update={"redis": RedisSettings(url="redis://127.0.0.1:1/0")})
    source = Claims(elsewhere, Engine.DIRECT, lambda: ids)
    assert source.read() == {}, "before the campaigns are made"
    ids.append(open_campaign(connection))
    assert source.read() == {"issued_total": {"": 0}}
    source.close()


def test_collector_leaves_out_what_cannot_be_seen(settings: Settings) -> None:
    away = PostgresSettings(url="postgresql://127.0.0.1:1/none", connect_timeout_seconds=1)
    database = Database(away)
    with pytest.raises(DatabaseUnavailable):
        database.read()
    heard = AnswersHeard()
    heard.note(Progress("asking", requests=10, accepted=1))
    put: list[object] = []
    collector = Collector([database, Redis(settings.redis), heard], put.append)
    sample = collector.look()
    assert set(sample.values) == {"redis_memory_bytes"}
    heard.note(Progress("asking", requests=10, accepted=4))
    assert collector.look().values["requests_per_second"]["served"] > 0
    with collector:
        pass
    assert put == collector.samples
