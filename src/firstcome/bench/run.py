"""One run: a scenario against an engine, with everything that was measured of it.

It is what `firstcome bench run --json` prints, a line of the history, and what comparisons are
made of: fields are added, never renamed. Times are milliseconds where the name says so. None
stands for what could not be measured; the rows of the report say why.
"""

import math
from collections.abc import Iterable

import msgspec

from firstcome.bench.collect.samples import Sample
from firstcome.bench.measure import percentile

BUILT_IN, K6 = "built-in", "k6"


class Distribution(msgspec.Struct, frozen=True):
    """How long things took, in milliseconds, as k6 tells it; None without a single value."""

    count: int
    avg: float | None = None
    min: float | None = None
    med: float | None = None
    max: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Distribution":
        """Sort and read off; exact, no buckets."""
        values = sorted(seconds)
        if not values:
            return cls(0)
        average = math.fsum(values) / len(values)
        parts = (percentile(values, percent) for percent in (50, 90, 95, 99))
        med, p90, p95, p99 = (round(part * 1000, 3) for part in parts)
        least, most = round(values[0] * 1000, 3), round(values[-1] * 1000, 3)
        return cls(len(values), round(average * 1000, 3), least, med, most, p90, p95, p99)


class Load(msgspec.Struct, frozen=True):
    """What the crowd sent and heard. The four counts of answers sum up to `requests`."""

    generator: str  # BUILT_IN or K6
    seconds: float
    requests: int
    served: int  # 202 or 201, replays included
    refused: int  # sold out, a duplicate, not open: the answer that the rules ask for
    overloaded: int  # 429 and 503: come again
    faults: int  # no answer, or one that the contract does not know
    http_ms: Distribution  # of all answers; built-in: of last tries, each from when it was due
    iteration_ms: Distribution  # of a user: from his first request to his last answer
    requests_per_second_max: float | None  # in the best second
    virtual_users_min: int
    virtual_users_max: int
    bytes_sent: int | None
    bytes_received: int | None
    unanswered: int = 0  # of the faults: never sent, lost on the way, or too late

    @property
    def requests_per_second(self) -> float:
        """Answers a second on average."""
        return (self.requests - self.unanswered) / self.seconds if self.seconds else 0.0


class Outcome(msgspec.Struct, frozen=True):
    """What became of the claims: the truth, from rows and laws."""

    accepted: int  # users who were promised a coupon
    issued: int
    expected: int  # as many as there were users or coupons, whichever was less
    lost: int  # users who were promised a coupon, and have none
    doubled: int  # second rows of a user
    oversold: int  # rows beyond the stock
    unsold: int  # coupons left although somebody who asked was told that none was
    accepted_ms: Distribution  # HTTP, of served claims
    refused_ms: Distribution
    issued_ms: Distribution  # from the request to the commit of the row
    accepted_per_second: float | None
    persisted_per_second: float | None  # rows, until the last one
    final_after_seconds: float | None  # from the last answer to the last row
    cpu_seconds: dict[str, float]  # by role, without the generator
    redis_bytes_per_user: float | None
    held: bool  # every check and every law
    broken: list[str]  # the rules that did not hold
    moved: int = 0  # users who have a coupon at another position than they were told
    given_up: int = 0  # coupons left because whoever asked had given up before an answer


class Run(msgspec.Struct, frozen=True):
    """One run. `engine` is the column: kafka, queue, direct or direct-conditional."""

    at: str  # UTC
    commit: str
    environment: dict[str, str]
    setup: dict[str, str]  # what has to be equal in runs that are compared
    engine: str
    scenario: str
    seed: int
    repetition: int
    load: Load
    outcome: Outcome
    calibration_ms: float  # a fixed piece of work on one core, just before: how fast it was then
    steal_percent: float | None
    others_percent: float | None
    samples: list[Sample] = []
    notes: list[str] = []
    started_at: float = 0.0  # of the load, seconds since 1970
    parts: list[str] = []  # the roles that the engine needs; the stack runs others too

    @property
    def cpu_us_per_issuance(self) -> float | None:
        """CPU time of the engine's own parts, for each coupon issued."""
        seconds = self.outcome.cpu_seconds
        if not self.outcome.issued or not seconds:
            return None
        needed = [used for role, used in seconds.items() if not self.parts or role in self.parts]
        return sum(needed) / self.outcome.issued * 1e6


class Loss(msgspec.Struct, frozen=True):
    """What it cost that Redis lost its machine in mid-drop: see `firstcome drill redis-forgets`."""

    engine: str
    fsync: str  # Redis' appendfsync: everysec or always
    recorders: str  # "working", or "standing still" so that nothing had its row yet
    seed: int
    rate: float  # requests a second
    promised: int  # users who were told yes, before and after
    lost: int  # of them, whoever ended without a coupon
    moved: int  # who ended with another position than he was told
    resumed_seconds: float | None  # from the kill to the next yes
    evidence: str
    broken: list[str]  # laws that did not hold, beside the promises that are counted


class Comparison(msgspec.Struct, frozen=True):
    """All runs of one comparison, in the order in which they ran."""

    at: str
    commit: str
    environment: dict[str, str]
    quick: bool
    repetitions: int
    runs: list[Run]
    losses: list[Loss] = []
