"""One contract, every relay: the same events for the same coupons, whatever dies on the way.

Each relay has a stack of its own, which these tests may break. What a consumer hears is read
from the topic itself; `firstcome verify` and `firstcome events check` have to agree.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from firstcome.drill.crew import Additional
from firstcome.drill.history import Offer
from firstcome.drill.judge import Judge
from firstcome.drill.processes import Processes
from firstcome.drill.traffic import Traffic
from firstcome.settings import KafkaSettings
from running import RunningStack, eventually, started
from tests.heard import Heard, heard
from tests.scraped import scraped

pytestmark = pytest.mark.acceptance

# What publishes, and what says so.
PUBLISHERS = {
    "polling": ["relay-1"],
    "wal": ["relay-1"],
    "debezium": ["connect-1", "relay-1"],
}
ENGINES = ["kafka-1", "postgres"]
DROP = ("drop", "--users", "1500", "--coupons", "1200")


class Scene(NamedTuple):
    """A running stack with one of the relays."""

    relay: str
    stack: RunningStack
    processes: Processes

    def events(self, campaign_id: int) -> list[Heard]:
        """Return what a consumer heard of a campaign."""
        told = heard(KafkaSettings(**self.stack.settings["kafka"]))
        return [event for event in told if event.campaign_id == campaign_id]

    def winners(self, campaign_id: int) -> dict[int, str]:
        """Return who holds which position, by the rows."""
        with psycopg.connect(self.stack.urls["postgres"], autocommit=True) as session:
            rows = session.execute(
                "SELECT position, user_id FROM issuances"
                " WHERE campaign_id = %s AND status = 'ISSUED'",
                (campaign_id,),
            )
            return {int(position): str(user) for position, user in rows}

    def waiting(self) -> int:
        """Return how many events wait."""
        told = self.stack.operate("GET", "/v1/overview")
        return int(told.json["outbox"]["events"])

    def complete(self, campaign_id: int) -> dict[str, Any]:
        """Return what `events check` says, once nothing waits any more."""
        eventually("nothing waits", self.waiting, lambda events: events == 0, seconds=40)
        (found,) = self.stack.said("events", "check", str(campaign_id))["campaigns"]
        return dict(found)


@pytest.fixture(scope="module", params=list(PUBLISHERS))
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A stack for each relay."""
    folder = tmp_path_factory.mktemp(request.param) / "stack"
    overdue = {"FIRSTCOME_RELAY__OVERDUE_SECONDS": "1"}
    with started(folder, "--auth", "gateway", "--relay", request.param, **overdue) as stack:
        yield Scene(request.param, stack, Processes(stack))


def test_every_coupon_is_told_as_the_contract_says(scene: Scene) -> None:
    campaign_id = dropped(scene)

    found = scene.complete(campaign_id)
    events = scene.events(campaign_id)

    assert (found["issued"], found["told"], found["strangers"]) == (1200, 1200, 0)
    assert {each.position: each.key.decode() for each in events} == scene.winners(campaign_id)
    assert len(events) == 1200 + found["repeats"]
    for event in events:
        check_contract(event)
    partitions = {(each.key, each.partition) for each in events}
    assert len(partitions) == len({key for key, _ in partitions})


def test_a_redriven_claim_is_told_and_one_under_review_is_not(scene: Scene) -> None:
    stack = scene.stack
    campaign_id = stack.create(5, name="reviewed")
    with psycopg.connect(stack.urls["postgres"], autocommit=True) as session:
        session.execute(
            "ALTER TABLE issuances ADD CONSTRAINT refused CHECK"
            " (status <> 'ISSUED' OR user_id NOT LIKE 'refused%') NOT VALID"
        )
        assert stack.claim(campaign_id, "refused-1").status == 202
        assert stack.claim(campaign_id, "refused-2").status == 202
        for user in ("refused-1", "refused-2"):
            standing = stack.standing(campaign_id, user)
            assert standing.json["status"] == "UNDER_REVIEW"
        session.execute("ALTER TABLE issuances DROP CONSTRAINT refused")
    assert stack.claim(campaign_id, "ann").status == 202
    assert stack.standing(campaign_id, "ann").json["status"] == "ISSUED"
    letters = stack.said("dead-letters", "list", "--campaign", str(campaign_id))["dead_letters"]
    first, second = (str(each["dead_letter_id"]) for each in letters)

    stack.run("dead-letters", "redrive", first)
    stack.run("dead-letters", "discard", second)

    assert scene.complete(campaign_id)["told"] == 2
    events = scene.events(campaign_id)
    assert {event.key for event in events} == {b"ann", letters[0]["user_id"].encode()}
    for event in events:
        check_contract(event)


def test_nothing_is_untold_when_somebody_dies_in_mid_stream(scene: Scene) -> None:
    for victims in (PUBLISHERS[scene.relay], *([engine] for engine in ENGINES)):
        campaign_id = scene.stack.create(2000, name=f"{victims[0]} dies")
        offers = [Offer(campaign_id, 2000, 1.0)]
        address = urlsplit(scene.stack.urls["api"])
        with Traffic(
            (address.hostname or "", address.port or 0), scene.stack.identify, offers, 7, 300
        ) as traffic:
            for name in victims:
                time.sleep(1.0)
                scene.processes.kill(name)
            traffic.stop()
            Judge(scene.stack, offers).settle(traffic, time.monotonic() + 60)

        found = scene.complete(campaign_id)

        assert found["complete"], victims
        assert found["told"] == found["issued"] == len(scene.winners(campaign_id))
    assert scene.stack.said("verify")["held"] is True


def test_a_drop_does_not_wait_for_a_relay_that_stands_still(scene: Scene) -> None:
    with ExitStack() as still:
        for name in PUBLISHERS[scene.relay]:
            still.enter_context(scene.processes.frozen(name))
        campaign_id = dropped(scene)
        assert scene.waiting() >= 1100
        time.sleep(1.2)
        findings = scene.stack.said("doctor", exit_code=None)["findings"]
        (outbox,) = [each for each in findings if each["subject"] == "outbox"]
        assert outbox["state"] == "warning"
        console = scraped(scene.processes.named("console-1")["metrics_url"])
        assert console.value("firstcome_outbox_events") >= 1100
        assert console.value("firstcome_outbox_oldest_seconds") > 1

    assert scene.complete(campaign_id)["told"] == 1200


def test_two_relays_do_no_harm(scene: Scene) -> None:
    another = Additional(scene.stack, "relay", 1)
    another.inject()
    try:
        campaign_id = dropped(scene)
        found = scene.complete(campaign_id)
    finally:
        another.heal()
    assert (found["told"], found["strangers"]) == (1200, 0)


def test_events_of_a_user_come_in_the_order_of_his_coupons(scene: Scene) -> None:
    campaigns = [scene.stack.create(1000, name=f"order {number}") for number in range(5)]
    for number, campaign_id in enumerate(campaigns):
        if number == 2:
            os.kill(scene.processes.pid(PUBLISHERS[scene.relay][0]), signal.SIGKILL)
        assert scene.stack.claim(campaign_id, "wanderer").status == 202
        assert scene.stack.standing(campaign_id, "wanderer").json["status"] == "ISSUED"
    eventually("nothing waits", scene.waiting, lambda events: events == 0, seconds=40)

    told = heard(KafkaSettings(**scene.stack.settings["kafka"]))
    first_told = dict.fromkeys(each.campaign_id for each in told if each.key == b"wanderer")
    assert list(first_told) == campaigns
    # The killed one works again before another test needs it.
    scene.processes.allow(PUBLISHERS[scene.relay][0])
    working(scene)


@pytest.mark.parametrize("scene", ["debezium"], indirect=True)
def test_a_replay_reaches_the_partitions_that_the_connector_chose(scene: Scene) -> None:
    campaign_id = scene.stack.create(40, name="replayed")
    for number in range(40):
        assert scene.stack.claim(campaign_id, f"user-{number}").status == 202
    assert scene.complete(campaign_id)["told"] == 40

    scene.stack.run("events", "replay", str(campaign_id), "--first", "1", "--last", "40")

    found = [(each.key, each.partition) for each in scene.events(campaign_id)]
    assert len(found) >= 80
    assert len(set(found)) == 40


@pytest.mark.parametrize("scene", ["debezium"], indirect=True)
def test_a_slot_moves_while_nothing_is_issued(scene: Scene) -> None:
    def confirmed() -> str:
        return str(scene.stack.said("relay", "status", "--mode", "debezium")["confirmed"])

    before = confirmed()
    eventually("the slot moves", confirmed, lambda now: now != before, seconds=30, every=0.5)


@pytest.mark.parametrize("scene", ["debezium"], indirect=True)
def test_a_slot_made_anew_by_a_stranger_leaves_no_gap_in_silence(scene: Scene) -> None:
    stack, slot = scene.stack, "firstcome_debezium"
    campaign_id = stack.create(10, name="gap")
    with slot_dropped(scene, "connect-1", slot) as session:
        for user in ("ann", "bob"):
            assert stack.claim(campaign_id, user).status == 202
            assert stack.standing(campaign_id, user).json["status"] == "ISSUED"
        session.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
    eventually(
        "the connector refuses to go on",
        lambda: stack.run("logs", "supervisor", "-n", "100"),
        lambda said: "no longer available on the server" in said,
        every=0.5,
        seconds=60,
    )
    assert scene.waiting() == 2

    # The way out of docs/events.md.
    stack.run("relay", "drop", "--mode", "debezium")
    stack.run("relay", "prepare", "--mode", "debezium")
    working(scene)
    assert stack.claim(campaign_id, "cat").status == 202
    eventually("the new one is told", lambda: scene.events(campaign_id), every=0.5)
    # The watcher reads the topic a little after whoever reads it here.
    eventually("the watcher has read it", scene.waiting, lambda events: events < 3)
    assert scene.waiting() == 2
    assert stack.said("events", "replay", str(campaign_id), "--missing")["published"] == 2
    assert scene.complete(campaign_id)["told"] == 3


@pytest.mark.parametrize("scene", ["wal"], indirect=True)
def test_a_relay_whose_slot_was_dropped_tells_nothing_until_there_is_another(scene: Scene) -> None:
    stack, slot = scene.stack, "firstcome_relay"
    campaign_id = stack.create(10, name="dropped")
    with slot_dropped(scene, "relay-1", slot):
        said_before = unusable(stack)
    for user in ("ann", "bob"):
        assert stack.claim(campaign_id, user).status == 202
        assert stack.standing(campaign_id, user).json["status"] == "ISSUED"

    # Twice: its second try came after both were issued.
    enough = said_before + 2
    eventually("the relay says so", lambda: unusable(stack), lambda n: n >= enough, seconds=30)
    assert (scene.waiting(), scene.events(campaign_id)) == (2, [])
    assert stack.said("relay", "status", exit_code=1)["state"] == "gone"
    eventually("the console says so", lambda: lost(scene, slot), lambda told: told == 1)
    (found,) = stack.said("events", "check", str(campaign_id), exit_code=None)["campaigns"]
    assert (found["issued"], found["told"], found["waiting"]) == (2, 0, 2)

    stack.run("relay", "prepare")

    found = scene.complete(campaign_id)
    assert (found["complete"], found["told"]) == (True, 2)
    eventually("the console says so", lambda: lost(scene, slot), lambda told: told == 0)
    assert stack.said("verify")["held"] is True


@contextmanager
def slot_dropped(scene: Scene, reader: str, slot: str) -> Iterator[psycopg.Connection]:
    """Let who reads a slot stand still, and drop it; lend the session that has done it."""
    with (
        scene.processes.frozen(reader),
        psycopg.connect(scene.stack.urls["postgres"], autocommit=True) as session,
    ):
        active = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s"
        session.execute(f"SELECT pg_terminate_backend(({active}))", (slot,))
        eventually("nobody reads", lambda: session.execute(active, (slot,)).fetchone() == (None,))
        session.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
        yield session


def unusable(stack: RunningStack) -> int:
    """Return how often the relay has said that it cannot read its slot."""
    return stack.run("logs", "relay", "-n", "1000").count("relay_slot_unusable")


def lost(scene: Scene, slot: str) -> float:
    """Return what Prometheus hears of a slot: 1 when it cannot be read."""
    console = scraped(scene.processes.named("console-1")["metrics_url"])
    return console.value("firstcome_slot_lost", slot=slot)


def working(scene: Scene) -> None:
    """Return when every process works."""
    eventually(
        "all work",
        lambda: [each["state"] for each in scene.stack.processes()],
        lambda states: set(states) == {"ready"},
        seconds=30,
    )


def dropped(scene: Scene) -> int:
    """Hold a small drop; return its campaign's number."""
    return campaign_of(scene.stack.run(*DROP, "--rate", "1000", "--json"))


def campaign_of(document: str) -> int:
    """Return the campaign of a drop's report."""
    (campaign,) = json.loads(document)["campaign_ids"]
    return int(campaign)


def check_contract(event: Heard) -> None:
    """Check one record by the letter of docs/events.md, and by CloudEvents' own library.

    Types were checked when it was decoded: the newest of docs/schemas is the schema of what it is
    decoded as, which is tested in tests/upkeep.
    """
    value = json.loads(event.value)
    assert set(value) == {"campaign_id", "position", "user_id", "requested_at", "issued_at"}
    assert event.key == value["user_id"].encode()
    for name in ("requested_at", "issued_at"):
        assert value[name] is None or value[name].endswith("Z")
    assert event.headers == {
        "ce_specversion": "1.0",
        "ce_type": "firstcome.coupon-issued.v1",
        "ce_source": "/firstcome",
        "ce_id": str(value["campaign_id"] * 2**27 + value["position"]),
        "ce_time": value["issued_at"],
        "content-type": "application/json",
    }
    raw = {name: text.encode() for name, text in event.headers.items()}
    known = from_binary(KafkaMessage(raw, event.key, event.value), JSONFormat())
    assert known.get_type() == "firstcome.coupon-issued.v1"
    assert known.get_time() == datetime.fromisoformat(value["issued_at"])
    assert known.get_data() == value
