"""The engines `queue` and `direct` break as `kafka` does, and keep the same promises.

What `queue` may lose, a Redis that forgets, is not here: it is no promise of that engine.
"""

from collections import Counter

import pytest

from firstcome.drill.eventually import wait
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.processes import Processes
from firstcome.model import Engine
from running import RunningStack

pytestmark = pytest.mark.faults

FINAL_SECONDS = 30.0
BROKER_AWAY_SECONDS = 5.0  # longer than it may be silent


@pytest.mark.parametrize(
    ("engine", "name"),
    [(Engine.QUEUE, "recorder-1"), (Engine.QUEUE, "redis"), (Engine.DIRECT, "postgres")],
)
def test_process_is_killed(fragile: RunningStack, seed: int, engine: Engine, name: str) -> None:
    ordeal = Ordeal(fragile, seed, engine=engine)
    ordeal.undergo(lambda faults: faults.kill(name), FINAL_SECONDS)


@pytest.mark.parametrize("engine", [Engine.QUEUE, Engine.DIRECT])
def test_broker_that_stands_still_concerns_nobody(
    fragile: RunningStack, seed: int, engine: Engine
) -> None:
    def stand_still(faults: Processes) -> None:
        with faults.frozen("kafka-1"):
            wait(BROKER_AWAY_SECONDS)

    ordeal = Ordeal(fragile, seed, engine=engine)
    ordeal.undergo(stand_still, FINAL_SECONDS)
    codes = Counter(heard.code for heard in ordeal.heard)
    assert not codes["TEMPORARILY_UNAVAILABLE"] + codes["OUTCOME_UNKNOWN"]
