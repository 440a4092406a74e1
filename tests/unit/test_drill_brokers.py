"""A broker of several is away only for as long as claims go on without it."""

from random import Random

import pytest

from firstcome.drill import brokers
from firstcome.drill.brokers import OneOfSeveral, survived
from firstcome.drill.faults import Fault, Misbehaved, Missed, Move

pytestmark = pytest.mark.unit


class Broken:
    """A fault that says when it is healed."""

    def __init__(self, error: Exception | None = None, healing: Exception | None = None) -> None:
        self.is_healed = False
        self._error = error
        self._healing = healing

    def inject(self) -> str:
        if self._error:
            raise self._error
        return "pid 7 ended"

    def heal(self) -> str:
        self.is_healed = True
        if self._healing:
            raise self._healing
        return "it works again"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "AWAY_SECONDS_MIN", 0.2)
    monkeypatch.setattr(brokers, "FLOW_SECONDS_MAX", 20)


def test_broker_comes_back_when_claims_were_seen_to_go_on() -> None:
    looks: list[float] = []

    def accepted_since(when: float) -> int:
        assert not broken.is_healed
        looks.append(when)
        return 50 * len(looks)

    broken = Broken()
    fault = OneOfSeveral(broken, accepted_since)
    assert fault.inject() == "pid 7 ended"
    assert fault.heal().startswith("it works again; 100 claims in a second")
    assert broken.is_healed
    assert len(looks) == 2


@pytest.mark.parametrize("healing", [None, Missed("2 restarts instead of one")])
def test_broker_without_which_no_claim_is_accepted_is_a_violation(
    healing: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "FLOW_SECONDS_MAX", 0.5)
    broken = Broken(healing=healing)
    fault = OneOfSeveral(broken, lambda _: 99)
    fault.inject()
    with pytest.raises(Misbehaved, match="99"):
        fault.heal()
    assert broken.is_healed


def test_broker_that_was_not_hit_waits_for_nobody() -> None:
    broken = Broken(Missed("kafka-2 is starting"))
    fault = OneOfSeveral(broken, lambda _: 0)
    with pytest.raises(Missed):
        fault.inject()
    assert fault.heal() == "it works again"


def test_only_faults_of_brokers_are_changed_and_break_alone() -> None:
    def make(chance: Random, seconds: float) -> Fault:
        return Broken()

    redis, broker = survived(
        [Move("kill", "redis", make), Move("kill", "kafka-2", make)], lambda _: 0
    )
    assert redis == Move("kill", "redis", make)
    assert isinstance(broker.make(Random(1), 1), OneOfSeveral)
    assert not broker.is_combinable
