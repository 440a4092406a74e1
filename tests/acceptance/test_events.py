"""One contract, every relay: the same events for the same coupons, whatever dies on the way.

Each relay has a stack of its own, which these tests may break. What a consumer hears is read
from the topic itself; `firstcome verify` and `firstcome events check` have to agree.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
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

pytestmark = pytest.mark.acceptance

# What publishes, and what says so.
PUBLISHERS = {"polling": ["relay-1"]}
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
    with started(folder, "--auth", "gateway", **overdue) as stack:
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


@pytest.mark.parametrize("victim", ["publishers", "kafka-1", "postgres"])
def test_nothing_is_untold_when_somebody_dies_in_mid_stream(scene: Scene, victim: str) -> None:
    campaign_id = scene.stack.create(2000, name=f"{victim} dies")
    offers = [Offer(campaign_id, 2000, 1.0)]
    address = urlsplit(scene.stack.urls["api"])
    with Traffic(
        (address.hostname or "", address.port or 0), scene.stack.identify, offers, 7, 300
    ) as traffic:
        for name in PUBLISHERS[scene.relay] if victim == "publishers" else [victim]:
            time.sleep(1.0)
            scene.processes.kill(name)
        traffic.stop()
        Judge(scene.stack, offers).settle(traffic, time.monotonic() + 60)

    found = scene.complete(campaign_id)

    assert found["complete"]
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
    for campaign_id in campaigns:
        scene.complete(campaign_id)

    told = heard(KafkaSettings(**scene.stack.settings["kafka"]))
    first_told = dict.fromkeys(each.campaign_id for each in told if each.key == b"wanderer")
    assert list(first_told) == campaigns
    # The killed one works again before another test needs it.
    scene.processes.allow(PUBLISHERS[scene.relay][0])
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
    """Check one record by the letter of docs/events.md, and by CloudEvents' own library."""
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
