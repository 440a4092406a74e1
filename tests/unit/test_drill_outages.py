"""What is concluded from an outage: a single answer that is not as promised breaks its line."""

import pytest

from firstcome.drill.promises import (
    Line,
    judge_kafka,
    judge_postgres,
    judge_redis,
)
from firstcome.settings import IntakeSettings
from tests.unit.seen import UNAVAILABLE, UNKNOWN, Heard, rehearsed, steady

pytestmark = pytest.mark.unit

MOMENTS = {"killed": 10.0, "started again": 40.0, "answers again": 42.0}
DEADLINE = IntakeSettings().answer_deadline_seconds
AS_PROMISED = [
    *steady(0, 10),
    *[(10 + n / 10, 12.05, UNKNOWN) for n in range(20)],
    *steady(12.1, 43, UNAVAILABLE),
    *steady(43, 60),
]


def kafka(heard: list[Heard], **changes: object) -> list[Line]:
    """Judge an outage of Kafka; return the lines that did not hold."""
    seen = rehearsed(heard, seconds=60, **changes)  # type: ignore[arg-type]
    return [line for line in judge_kafka(seen, MOMENTS, DEADLINE) if not line.held]


def test_kafka_away_as_promised_breaks_no_line() -> None:
    assert kafka(AS_PROMISED) == []


@pytest.mark.parametrize(
    ("more", "promise"),
    [
        ((20.0, 20.1, "REQUESTED"), "every answer is a 503"),
        ((20.0, 20.1, "CONNECTION_LOST"), "every answer is a 503"),
        ((10.5, 12.6, "REQUESTED"), "every answer is a 503"),
        ((9.0, 12.1, UNKNOWN), "no claim waits longer"),
        ((47.2, 47.3, UNAVAILABLE), "accepting resumes"),
    ],
)
def test_kafka_away_breaks_a_line_by_one_answer(more: Heard, promise: str) -> None:
    (line,) = kafka([*AS_PROMISED, more])
    assert promise in line.promise


def test_kafka_away_breaks_a_line_by_503_without_retry_after() -> None:
    (line,) = kafka(AS_PROMISED[:100] + AS_PROMISED[120:], silent=10)
    assert "Retry-After" in line.promise


def test_kafka_away_breaks_lines_when_nobody_asked_or_a_law_is_broken() -> None:
    lines = kafka([*steady(0, 10), *steady(43, 60)], violations=["L1: one too many"])
    assert ["every answer is a 503" in lines[0].promise, lines[1].seen[-16:]] == [
        True,
        "L1: one too many",
    ]


def test_kafka_away_breaks_a_line_when_the_crowd_was_not_served_before() -> None:
    lines = kafka([*steady(0, 10, per_second=5), *AS_PROMISED[100:]])
    assert "before the fault" in lines[0].promise


def test_postgres_away_breaks_a_line_by_one_refusal_or_one_late_row() -> None:
    def broken(heard: list[Heard], waits: dict[int, float]) -> list[str]:
        seen = rehearsed(heard, waits, seconds=60)
        return [line.promise for line in judge_postgres(seen, MOMENTS) if not line.held]

    all_accepted = steady(0, 60)
    assert broken(all_accepted, {}) == []
    assert broken(all_accepted, {300: 32.0}) == []  # accepted at 29.9 s, a row at 61.9 s
    assert "ISSUED within 20 s" in broken(all_accepted, {300: 32.2})[0]
    assert "keep being accepted" in broken([*all_accepted, (20.0, 20.1, UNAVAILABLE)], {})[0]


def test_redis_wiped_says_when_issuing_resumed() -> None:
    moments = {"killed": 10.0, "answers again": 10.3}
    last_of_the_old = (10.01, 10.02, "REQUESTED")
    down = steady(10.02, 15, UNAVAILABLE)
    seen = rehearsed([*steady(0, 10), last_of_the_old, *down, *steady(15, 30)], seconds=30)
    lines = judge_redis(seen, moments)
    assert all(line.held for line in lines)
    assert "first 202 5.0 s after the wipe" in lines[1].seen
    never = judge_redis(rehearsed(steady(0, 10), seconds=30), moments)
    assert [line.held for line in never] == [True, False, True]
