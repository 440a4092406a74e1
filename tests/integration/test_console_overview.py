"""The operators' overview: every campaign in its gate and in its rows, engines away or not."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId
from firstcome.settings import Settings
from tests.integration.operators_port import (
    OperatorsPort,
    eventually,
    running_console,
    without_database,
    without_gate_and_log,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def gate(settings: Settings) -> Iterator[GateSession]:
    with GateSession.open(settings.redis) as session:
        yield session


@pytest.fixture
def port(settings: Settings) -> Iterator[OperatorsPort]:
    """A console whose campaigns have numbers of this test alone: gates are shared by all tests."""
    with running_console(settings) as running:
        first = secrets.randbelow(2**35) + 1
        running.sql(f"ALTER TABLE campaigns ALTER campaign_id RESTART WITH {first}")
        yield running


def overview_of(port: OperatorsPort, campaign_id: object) -> dict[str, Any]:
    found = port.client.get("/v1/overview").json()["campaigns"]
    [campaign] = [one for one in found if one["campaign_id"] == campaign_id]
    return dict(campaign)


def add_rows(port: OperatorsPort, campaign_id: object) -> None:
    """Positions 1 to 4: two issued, one under review, one cancelled."""
    add_row(port, campaign_id, 1, "ISSUED")
    add_row(port, campaign_id, 2, "ISSUED")
    add_row(port, campaign_id, 3, "UNDER_REVIEW")
    port.sql(
        "INSERT INTO dead_letters (campaign_id, position, reason, detail)"
        " VALUES (%s, 3, 'REJECTED', '')",
        campaign_id,
    )
    port.sql(
        "INSERT INTO issuances (campaign_id, position, epoch, version, status, user_id, reason)"
        " VALUES (%s, 4, 1, 1, 'CANCELLED', 'd', 'HOLE')",
        campaign_id,
    )


def add_row(port: OperatorsPort, campaign_id: object, position: int, status: str) -> None:
    port.sql(
        "INSERT INTO issuances (campaign_id, position, epoch, status, user_id)"
        " VALUES (%s, %s, 1, %s, %s)",
        campaign_id,
        position,
        status,
        f"u{position}",
    )


def test_overview_counts_rows_and_what_is_under_way(port: OperatorsPort, gate: GateSession) -> None:
    number = port.create(stock=10)["campaign_id"]
    add_rows(port, number)
    port.sql("UPDATE campaigns SET epoch = 1, position_limit = 11 WHERE campaign_id = %s", number)
    name = keys.gate(CampaignId(int(str(number))))
    fields = {"version": 1, "position_last": 7, "position_limit": 11}
    field = keys.epoch_field(1, gate.run_id)
    gate.call("HSET", name, "epoch", field, *[x for pair in fields.items() for x in pair])

    seen = overview_of(port, number)
    assert (seen["issued"], seen["under_review"], seen["cancelled"]) == (2, 1, 1)
    assert (seen["stock_left"], seen["under_way"]) == (4, 3)
    assert seen["gate"] == {"state": "OPEN", "epoch": 1, "version": 1, "position_last": 7}

    for stored, expected in (
        (keys.epoch_field(2, gate.run_id), "STALE"),
        (keys.epoch_field(1, "f" * 40), "STALE"),
        ("shut-0123456789abcdef", "SHUT"),
    ):
        gate.call("HSET", name, "epoch", stored)
        seen = overview_of(port, number)
        assert seen["gate"]["state"] == expected
        assert seen["stock_left"] is None
        assert seen["under_way"] is None
    gate.call("DEL", name)
    assert overview_of(port, number)["gate"]["state"] == "ABSENT"


def test_overview_counts_what_has_come_since_the_last_look(port: OperatorsPort) -> None:
    number = port.create(stock=20)["campaign_id"]
    port.sql("UPDATE campaigns SET position_limit = 21 WHERE campaign_id = %s", number)

    def counts() -> tuple[int, int, int]:
        seen = overview_of(port, number)
        return seen["issued"], seen["under_review"], seen["cancelled"]

    assert counts() == (0, 0, 0)
    add_rows(port, number)
    assert counts() == (2, 1, 1)
    add_row(port, number, 7, "ISSUED")  # 5 and 6 are still on their way
    assert counts() == (3, 1, 1)
    add_row(port, number, 6, "ISSUED")
    assert counts() == (4, 1, 1)
    add_row(port, number, 5, "ISSUED")
    assert counts() == (5, 1, 1)
    port.sql(
        "UPDATE issuances SET status = 'ISSUED' WHERE campaign_id = %s AND position = 3", number
    )
    port.sql("UPDATE dead_letters SET state = 'REDRIVEN' WHERE campaign_id = %s", number)
    add_row(port, number, 8, "ISSUED")
    assert counts() == (7, 0, 1)


def test_overview_leaves_out_archived_campaigns(port: OperatorsPort) -> None:
    number = port.create()["campaign_id"]
    port.sql("UPDATE campaigns SET state = 'ARCHIVED' WHERE campaign_id = %s", number)
    assert port.client.get("/v1/overview").json()["campaigns"] == []


def test_overview_tells_how_far_the_recorders_are_behind(port: OperatorsPort) -> None:
    def lag() -> object:
        return port.client.get("/v1/overview").json()["lag_records"]

    def age() -> float:
        return float(port.client.get("/v1/overview").json()["lag_seconds"])

    LogAdmin(port.settings.kafka).create_topics()
    eventually(lag, 0)  # null until the new partitions have their leaders
    producer = Producer({"bootstrap.servers": port.settings.kafka.bootstrap_servers})
    for _ in range(3):
        producer.produce(topics.issuance_requested(port.settings.kafka), b"")
    producer.flush(30)
    assert age() == 0
    eventually(lag, 3)
    eventually(lambda: age() > 1, True)


def test_overview_shows_the_rest_while_redis_and_kafka_are_away(settings: Settings) -> None:
    with running_console(without_gate_and_log(settings)) as port:
        number = port.create()["campaign_id"]
        add_rows(port, number)
        report = port.client.get("/v1/overview", timeout=30).json()
        seen = overview_of(port, number)
        assert report["lag_records"] is None
        assert seen["gate"]["state"] == "UNREACHABLE"
        assert (seen["issued"], seen["stock_left"]) == (2, None)
        assert port.client.get("/readyz").status_code == 200


def test_overview_is_unavailable_while_the_database_is_away(settings: Settings) -> None:
    with running_console(without_database(settings)) as port:
        answer = port.client.get("/v1/overview")
        assert (answer.status_code, answer.json()["code"]) == (503, "TEMPORARILY_UNAVAILABLE")
