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

QUICK = 10  # a quick scenario is a tenth of the whole one
USERS_MIN, USERS_MAX = 1000, 400_000  # of a saturating run
# Who asks waits so long for an answer, and before that for a free connection; a saturating crowd
# is meant to wait.
TIMEOUT_SECONDS, SATURATED_SECONDS = 10.0, 120.0


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

    def shortened(self) -> "Scenario":
        """Return the same crowd in small: for a first look, not for a report to stand on."""
        part = msgspec.structs.replace(
            self,
            coupons=max(1, self.coupons // QUICK),
            users=max(1, self.users // QUICK),
            virtual_users=self.virtual_users // QUICK,
            virtual_seconds=self.virtual_seconds / QUICK,
        )
        return (
            part
            if self.arrivals.shape != "burst"
            else msgspec.structs.replace(part, connections=max(1, self.connections // QUICK))
        )

    def sized(self, per_second: float, seconds: float) -> "Scenario":
        """Return a saturating scenario for an engine that issues about so much a second."""
        users = round(min(USERS_MAX, max(USERS_MIN, per_second * seconds)))
        return msgspec.structs.replace(self, users=users, coupons=users)

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
            timeout_seconds=SATURATED_SECONDS if self.saturating else TIMEOUT_SECONDS,
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
        users=333_000,
        arrivals=_ramp(1000, 11_200),
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
    Scenario(
        "saturation",
        "As many as the engine can issue: 256 people ask at any moment, a coupon for everybody.",
        campaigns=1,
        coupons=USERS_MAX,
        users=USERS_MAX,
        arrivals=_rate(200_000),
        connections=256,
        twice=0.0,
        saturating=True,
    ),
)
SMOKE = Scenario(
    "smoke",
    "Ten seconds of a small crowd: whether everything works, not how fast.",
    campaigns=2,
    coupons=500,
    users=4500,
    arrivals=_rate(500),
    connections=128,
)
BY_NAME = {scenario.name: scenario for scenario in (*SCENARIOS, SMOKE)}
