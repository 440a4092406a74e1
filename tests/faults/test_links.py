"""The links between our processes and the engines break in every way, under load.

One stack behind links; each engine gets its own crowd, whose faults follow one after another.
What was admitted, appended or committed while the reply to it was lost counts once, and only once.
"""

from collections.abc import Iterator
from random import Random

import pytest

from firstcome.drill.disturbances import disturbance
from firstcome.drill.eventually import wait
from firstcome.drill.links import Links, linked
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.processes import Processes
from running import RunningStack, started

pytestmark = pytest.mark.faults

FINAL_SECONDS = 30.0
SCALED = {"FIRSTCOME_SWEEPER__DUE_AFTER_SECONDS": "5", "FIRSTCOME_SWEEPER__TICK_SECONDS": "1"}
# Longer than a broker may be silent (2 s), and than a promise may take (3 s).
KAFKA_FROZEN_SECONDS = 5.0
# Longer than a call to the gate may take (1 s).
REDIS_FROZEN_SECONDS = 2.0
SLOW_SECONDS = 1.0
# Each leaves a user or two in doubt. One in four asks again with his key until the sweeper has
# settled his place: the first time is too early, and each time half of them fall silent.
REPLIES_LOST = 25


class Cabled:
    """A stack behind links, and what is done to them."""

    def __init__(self, stack: RunningStack, links: Links, seed: int) -> None:
        self.stack = stack
        self._links = links
        self._chance = Random(seed)

    def disturb(self, faults: Processes, name: str, kind: str, seconds: float = 0) -> None:
        """Break a link, keep it broken for a time, heal it; the evidence is noted."""
        fault = disturbance(self._links, name, kind, self._chance)
        faults.note(fault.inject())
        wait(seconds)
        faults.note(fault.heal())


@pytest.fixture(scope="module")
def cabled(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Cabled]:
    """A stack of its own behind links that pass everything."""
    state = tmp_path_factory.mktemp("cabled") / "stack"
    with linked(state, seed=seed) as links, started(state, *links.options(), **SCALED) as stack:
        yield Cabled(stack, links, seed)


def test_redis_links_break_in_every_way(cabled: Cabled, seed: int) -> None:
    def break_redis(faults: Processes) -> None:
        for _ in range(REPLIES_LOST):
            cabled.disturb(faults, "api.redis", "reply lost")
        cabled.disturb(faults, "api.redis", "slow", SLOW_SECONDS)
        cabled.disturb(faults, "api.redis", "reset")
        cabled.disturb(faults, "api.redis", "request torn")
        cabled.disturb(faults, "recorder.redis", "reply lost")
        cabled.disturb(faults, "api.redis", "frozen", REDIS_FROZEN_SECONDS)

    ordeal = Ordeal(cabled.stack, seed)
    ordeal.undergo(break_redis, FINAL_SECONDS)
    unknown = {heard.user for heard in ordeal.heard if heard.code == "OUTCOME_UNKNOWN"}
    known_later = {heard.user for heard in ordeal.heard if heard.is_promise}
    assert unknown & known_later, "nobody got his place after a lost reply by asking again"


def test_kafka_links_break_in_every_way(cabled: Cabled, seed: int) -> None:
    def break_kafka(faults: Processes) -> None:
        cabled.disturb(faults, "api.kafka-1", "reply lost")
        cabled.disturb(faults, "api.kafka-1", "cut")
        cabled.disturb(faults, "recorder.kafka-1", "reset")
        cabled.disturb(faults, "api.kafka-1", "request torn")
        cabled.disturb(faults, "api.kafka-1", "frozen", KAFKA_FROZEN_SECONDS)

    ordeal = Ordeal(cabled.stack, seed)
    ordeal.undergo(break_kafka, FINAL_SECONDS)
    refused = [heard for heard in ordeal.heard if heard.code == "TEMPORARILY_UNAVAILABLE"]
    assert refused, "claims were taken although the broker was away"


def test_postgres_links_break_in_mid_transaction(cabled: Cabled, seed: int) -> None:
    def break_postgres(faults: Processes) -> None:
        cabled.disturb(faults, "recorder.postgres", "reply lost")
        cabled.disturb(faults, "recorder.postgres", "request torn")
        cabled.disturb(faults, "recorder.postgres", "cut")
        cabled.disturb(faults, "recorder.postgres", "slow", SLOW_SECONDS)
        cabled.disturb(faults, "recorder.postgres", "refusing", SLOW_SECONDS)

    Ordeal(cabled.stack, seed).undergo(break_postgres, FINAL_SECONDS)
