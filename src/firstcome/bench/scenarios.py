"""The crowds that engines are measured with: each by one name, for both generators.

The built-in generator is an open loop: a schedule that keeps its times whatever comes back.
k6 runs virtual users, each of whom waits for his answer (deploy/k6/<name>.js reads the same
figures from its environment). `quick` scenarios are the same crowds for a shorter time.
"""

import msgspec

from firstcome.bench.arrivals import Arrivals
from firstcome.bench.crowd import Crowd
from firstcome.bench.plan import Asked
from firstcome.model import Engine


class Scenario(msgspec.Struct, frozen=True):
    """One crowd and what it is offered."""

    name: str
    says: str
    campaigns: int
    coupons: int  # of each campaign
    users: int
    arrivals: Arrivals
    connections: int
    twice: float = 0.1  # share of the users who ask two times at the same time
    keyed: float = 0.5  # share with an Idempotency-Key
    virtual_users: int = 0  # of k6; 0: not for k6
    virtual_seconds: float = 0.0
    saturating: bool = False  # asks as fast as answers come: rates count, waiting times do not

    @property
    def seconds(self) -> float:
        """How long the built-in generator takes to send everything."""
        return self.arrivals.seconds(self.asked(Engine.KAFKA, 1).crowd.requests)

    def asked(self, engine: Engine, seed: int) -> Asked:
        """Return the drop that this scenario is for an engine."""
        crowd = Crowd(self.users, self.campaigns, self.twice, self.keyed, seed)
        return Asked(
            coupons=self.coupons,
            crowd=crowd,
            arrivals=self.arrivals,
            engine=engine,
            connections=self.connections,
        )


def _ramp(first: float, last: float) -> Arrivals:
    return Arrivals("ramp", first, last)


def _rate(rate: float) -> Arrivals:
    return Arrivals("rate", rate, rate)


BURST = Arrivals("burst")

SCENARIOS = (
    Scenario(
        "source",
        "The source's own: 4 x 5,000 coupons, 5,000 virtual users, one minute, a gradual ramp.",
        campaigns=4,
        coupons=5000,
        users=327_000,
        arrivals=_ramp(1000, 11_000),
        connections=5000,
        virtual_users=5000,
        virtual_seconds=60,
    ),
    Scenario(
        "spike",
        "Everybody at the opening second: 60,000 people for 4 x 5,000 coupons.",
        campaigns=4,
        coupons=5000,
        users=60_000,
        arrivals=BURST,
        connections=5000,
        virtual_users=5000,
        virtual_seconds=20,
    ),
    Scenario(
        "steady",
        "400 requests a second for 30 s, with a coupon for everybody.",
        campaigns=1,
        coupons=12_000,
        users=12_000,
        arrivals=_rate(400),
        connections=256,
        twice=0.0,
        virtual_users=400,
        virtual_seconds=30,
    ),
    Scenario(
        "repeat",
        "A storm of repeats: everybody asks twice at the same time, half with a key.",
        campaigns=1,
        coupons=5000,
        users=60_000,
        arrivals=_rate(6000),
        connections=2000,
        twice=1.0,
        virtual_users=1000,
        virtual_seconds=20,
    ),
    Scenario(
        "sold-out",
        "A thousand coupons, and a crowd that keeps coming long after they are gone.",
        campaigns=1,
        coupons=1000,
        users=120_000,
        arrivals=_rate(6000),
        connections=2000,
        virtual_users=1000,
        virtual_seconds=20,
    ),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
