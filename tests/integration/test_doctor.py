"""The doctor, on engines that are fit, misconfigured or away."""

import socket
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from firstcome import postgres
from firstcome.doctor import Doctor, Finding, State
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId
from firstcome.settings import PostgresSettings, Settings

pytestmark = pytest.mark.integration


def found(settings: Settings) -> dict[str, Finding]:
    """Return the findings by subject."""
    return {finding.subject: finding for finding in Doctor(settings).examine()}


@pytest.fixture
def session(settings: Settings) -> Iterator[GateSession]:
    """A way to the gate."""
    with GateSession.open(settings.redis) as opened:
        yield opened


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_doctor_finds_nothing_wrong_with_fresh_engines(settings: Settings) -> None:
    LogAdmin(settings.kafka).create_topics()

    findings = found(settings)

    engines = ("postgres", "redis", "kafka", "topic", "gates")
    wrong = [
        finding
        for subject, finding in findings.items()
        if subject.startswith(engines) and finding.state is not State.OK
    ]
    assert wrong == []
    assert {"python", "disk", "memory", "open files", "api port", "users' key"} <= set(findings)


def test_doctor_says_what_to_do_before_the_first_migration(
    settings: Settings, empty_database: PostgresSettings
) -> None:
    findings = found(settings.model_copy(update={"postgres": empty_database}))

    tables = findings["postgres tables"]
    assert (tables.state, tables.advice) == (State.FAILURE, "run `firstcome migrate`")
    missing = findings[f"topic {settings.kafka.topic_prefix}.issuance-requested.v1"]
    assert (missing.state, missing.advice) == (State.FAILURE, "run `firstcome migrate`")


def test_doctor_goes_on_when_engines_are_away(settings: Settings, free_port: int) -> None:
    nowhere = f"127.0.0.1:{free_port}"
    away = settings.model_copy(
        update={
            "redis": settings.redis.model_copy(update={"url": SecretStr(f"redis://{nowhere}/0")}),
            "postgres": settings.postgres.model_copy(
                update={"url": SecretStr(f"postgresql://{nowhere}/x")}
            ),
            "kafka": settings.kafka.model_copy(update={"bootstrap_servers": nowhere}),
        }
    )

    findings = found(away)

    assert {engine: findings[engine].state for engine in ("redis", "postgres", "kafka")} == {
        "redis": State.AWAY,
        "postgres": State.AWAY,
        "kafka": State.AWAY,
    }


def test_doctor_names_settings_of_redis_that_break_a_promise(
    settings: Settings, session: GateSession
) -> None:
    kept = {"maxmemory-policy": "noeviction", "hash-max-listpack-entries": "512"}
    try:
        session.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        session.call("CONFIG", "SET", "hash-max-listpack-entries", "64")
        findings = found(settings)
    finally:
        for name, value in kept.items():
            session.call("CONFIG", "SET", name, value)

    assert findings["redis eviction"].state is State.FAILURE
    assert findings["redis listpacks"].state is State.WARNING


def test_doctor_compares_topics_with_the_settings(settings: Settings) -> None:
    LogAdmin(settings.kafka).create_topics()
    wanting = settings.kafka.model_copy(update={"partitions": 12, "replication": 3})

    findings = found(settings.model_copy(update={"kafka": wanting}))

    topic = f"topic {settings.kafka.topic_prefix}.issuance-requested.v1"
    assert findings["kafka brokers"].state is State.FAILURE
    assert findings[topic].state is State.FAILURE
    assert findings[f"{topic} min.insync.replicas"].state is State.FAILURE


def test_doctor_names_gates_that_admit_nobody(
    settings: Settings, connection: postgres.Connection, session: GateSession
) -> None:
    row = connection.execute(
        "INSERT INTO campaigns (name, engine, stock, position_limit, epoch)"
        " VALUES ('shut', 'kafka', 1, 1, 7) RETURNING campaign_id"
    ).fetchone()
    assert row is not None
    gate = keys.gate(CampaignId(row[0]))
    try:
        session.call("HSET", gate, "epoch", "shut:by-a-test")
        shut = found(settings)["gates"]
        session.call("HSET", gate, "epoch", keys.epoch_field(7, session.run_id))
        opened = found(settings)["gates"]
    finally:
        session.call("DEL", gate)

    assert shut.state is State.WARNING
    assert f"campaigns {row[0]}" in shut.seen
    assert opened.state is State.OK
