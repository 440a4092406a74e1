"""Every part of the stack breaks once, while hundreds of claims a second come in.

Each test ends with the judgement of firstcome.drill.ordeal: what every client heard against
who holds a coupon, and `firstcome verify`.
"""

import os
import signal
from pathlib import Path

import pytest

from firstcome.drill.data import wipe_redis
from firstcome.drill.eventually import wait
from firstcome.drill.history import CLAIM, LOST, Heard
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.processes import Processes
from running import RunningStack, started

pytestmark = pytest.mark.faults

# The claims that nobody appended are the sweeper's: its patience, a tick, and the time it takes.
FINAL_SECONDS = 30.0
FINAL_SECONDS_BY_DEFAULT = 60.0  # law L3 with a fault


@pytest.fixture
def ordeal(fragile: RunningStack, seed: int) -> Ordeal:
    """A crowd and its campaigns."""
    return Ordeal(fragile, seed)


def test_recorder_is_killed_in_mid_batch(ordeal: Ordeal) -> None:
    large = ordeal.offers[0].campaign_id
    ordeal.undergo(lambda faults: faults.kill_while_recording("recorder-1", large), FINAL_SECONDS)


def test_recorder_stands_still_while_redis_is_killed(ordeal: Ordeal) -> None:
    def recorder_and_redis(faults: Processes) -> None:
        with faults.frozen("recorder-1"):
            faults.kill("redis")
            wait(3)

    ordeal.undergo(recorder_and_redis, FINAL_SECONDS)


def test_one_of_two_apis_is_killed_with_claims_under_way(ordeal: Ordeal) -> None:
    def api_while_the_broker_stands_still(faults: Processes) -> None:
        with faults.noticed("api-2") as pid, faults.frozen("kafka-1"):
            wait(0.7)
            os.kill(pid, signal.SIGKILL)

    ordeal.undergo(api_while_the_broker_stands_still, FINAL_SECONDS)
    assert any(heard.code == LOST for heard in ordeal.heard), "nothing was under way"


def test_api_that_is_stopped_gives_every_answer_that_it_owes(ordeal: Ordeal) -> None:
    def stop_while_the_broker_stands_still(faults: Processes) -> None:
        # Shorter than a broker may be silent before it counts as away.
        with faults.noticed("api-1") as pid, faults.frozen("kafka-1"):
            wait(0.7)
            os.kill(pid, signal.SIGTERM)
            wait(0.5)

    ordeal.undergo(stop_while_the_broker_stands_still, FINAL_SECONDS)
    claims: dict[tuple[int, str], list[Heard]] = {}
    for heard in ordeal.heard:
        if heard.act == CLAIM:
            claims.setdefault((heard.campaign_id, heard.user), []).append(heard)
    winners = {(end.offer.campaign_id, user) for end in ordeal.ended for _, user in end.winners}
    for place, history in claims.items():
        codes = {heard.code for heard in history}
        # A request may meet a connection that is just being closed. Then it must not count.
        assert not (codes == {LOST} and place in winners), f"{place}: a place without an answer"
        # A replay waits for its position to be settled, which does not hold up a stop.
        assert "OUTCOME_UNKNOWN" not in codes or any(heard.is_promise for heard in history), history


def test_sweeper_is_killed_while_it_rebuilds_for_a_killed_redis(ordeal: Ordeal) -> None:
    def redis_then_sweeper(faults: Processes) -> None:
        faults.kill("redis")
        faults.kill("sweeper-1")

    ordeal.undergo(redis_then_sweeper, FINAL_SECONDS)


def test_redis_is_killed_and_loses_all_data(ordeal: Ordeal) -> None:
    ordeal.undergo(wipe_redis, FINAL_SECONDS)


def test_redis_stands_still(ordeal: Ordeal) -> None:
    ordeal.undergo(lambda faults: faults.freeze("redis", 3), FINAL_SECONDS)


def test_broker_is_killed(ordeal: Ordeal) -> None:
    ordeal.undergo(lambda faults: faults.kill("kafka-1"), FINAL_SECONDS)


def test_postgres_is_killed(ordeal: Ordeal) -> None:
    ordeal.undergo(lambda faults: faults.kill("postgres"), FINAL_SECONDS)


def test_everything_is_killed_at_once(ordeal: Ordeal) -> None:
    ordeal.undergo(lambda faults: faults.kill_everything("--api", "2"), FINAL_SECONDS)


def test_three_faults_in_a_row_by_default_settings(tmp_path: Path, seed: int) -> None:
    def recorder_api_and_redis(faults: Processes) -> None:
        for name in ("recorder-1", "api-1", "redis"):
            faults.kill(name)

    with started(tmp_path / "stack", "--api", "2") as stack:
        ordeal = Ordeal(stack, seed)
        ordeal.undergo(recorder_api_and_redis, FINAL_SECONDS_BY_DEFAULT)
        assert any(heard.is_promise for heard in ordeal.heard)
