"""Kafka away, PostgreSQL away, Redis wiped: what is promised for each, and what was seen.

Each outage is one rehearsal, judged by promises.py: lines that say what is promised, whether it
held, and the figures.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from firstcome.bench.answers import CODES
from firstcome.drill.data import RedisData
from firstcome.drill.endings import Ended
from firstcome.drill.eventually import wait
from firstcome.drill.promises import Line, judge_kafka, judge_postgres, judge_redis
from firstcome.drill.rehearsal import Load, Rehearsed, rehearse
from firstcome.drill.stage import Stage


class Times(NamedTuple):
    """How long a rehearsal goes well, how long the engine is away, how long it goes on."""

    before: float
    away: float
    after: float

    @property
    def whole(self) -> float:
        """Seconds of load."""
        return self.before + self.away + self.after


FULL = Times(15.0, 30.0, 25.0)


class Outage(msgspec.Struct, frozen=True):
    """One outage as it went. Moments in seconds after the start of the load."""

    name: str
    load: Load
    moments: dict[str, float]
    evidence: str
    answers: dict[str, int]
    lines: list[Line]

    @property
    def held(self) -> bool:
        """Whether everything was as promised."""
        return all(line.held for line in self.lines)


Tell = Callable[[str], None]


def kafka_away(stage: Stage, times: Times, rate: float, seed: int, tell: Tell) -> Outage:
    """Kill the broker, keep it away, let it come back."""
    load = Load(rate, times.whole, _coupons(times, rate), seed, twice=0.1, hang_seconds=3.5)
    fault = Ended(stage.processes, "kafka-1", signal.SIGKILL)
    seen, moments, evidence = _suffered(stage, load, fault, times, tell)
    lines = judge_kafka(seen, moments, stage.settings.intake.answer_deadline_seconds)
    return Outage("Kafka away", load, moments, evidence, _counted(seen), lines)


def postgres_away(stage: Stage, times: Times, rate: float, seed: int, tell: Tell) -> Outage:
    """Kill PostgreSQL, keep it away, let it come back."""
    load = Load(rate, times.whole, int(rate * times.whole * 0.9), seed, twice=0.1)
    fault = Ended(stage.processes, "postgres", signal.SIGKILL)
    seen, moments, evidence = _suffered(stage, load, fault, times, tell)
    lines = judge_postgres(seen, moments)
    return Outage("PostgreSQL away", load, moments, evidence, _counted(seen), lines)


def redis_wiped(stage: Stage, times: Times, rate: float, seed: int, tell: Tell) -> Outage:
    """Kill Redis in the middle of a drop and remove its data; it is started again at once."""
    times = Times(times.before, 0.0, times.away + times.after)
    load = Load(rate, times.whole, _coupons(times, rate), seed, twice=0.1, hang_seconds=1.0)
    wipe = RedisData(stage.stack.state).wipe
    fault = Ended(stage.processes, "redis", signal.SIGKILL, wipe)
    seen, moments, evidence = _suffered(stage, load, fault, times, tell)
    lines = judge_redis(seen, moments)
    return Outage("Redis wiped", load, moments, evidence, _counted(seen), lines)


def _coupons(times: Times, rate: float) -> int:
    """Return how many go soon after the return: a place that leaked shows when all are gone."""
    return int(rate * (times.before + 0.2 * times.after))


def _suffered(
    stage: Stage, load: Load, fault: Ended, times: Times, tell: Tell
) -> tuple[Rehearsed, dict[str, float], str]:
    """Let the crowd come and the fault hit; return what was seen, the moments, the evidence."""
    moments, evidence = dict[str, float](), list[str]()

    def act(started_at: float) -> None:
        wait(started_at + times.before - time.time())
        # Noted before it hits: what is promised from then on is asked for a little earlier.
        moments["killed"] = time.time() - started_at
        try:
            evidence.append(fault.inject())
            wait(started_at + times.before + times.away - time.time())
            moments["started again"] = time.time() - started_at
        finally:
            tell(fault.heal())
        moments["answers again"] = time.time() - started_at

    seen = rehearse(stage, load, act, tell)
    return seen, moments, "; ".join(evidence)


def _counted(seen: Rehearsed) -> dict[str, int]:
    return {CODES[code]: count for code, count in Counter(seen.answers.code).most_common()}
