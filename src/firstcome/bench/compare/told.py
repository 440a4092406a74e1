"""What the source's two reports say, figure by figure, with the table in which it stands.

Report 1 compares a single service with Redis + Kafka, report 2 Redis with Redis + Kafka. They
contradict each other and themselves; every figure stands here as it is written there. Rows
(rows.py) name the figures that belong beside them.
"""

from enum import StrEnum
from typing import NamedTuple


class System(StrEnum):
    """Whose figure it is; the order is that of the report."""

    SINGLE = "single"  # one service on a database
    REDIS = "redis"
    KAFKA = "redis-kafka"
    KAFKA_1 = "kafka-test-1"
    KAFKA_2 = "kafka-test-2"


class Place(StrEnum):
    """Where it stands."""

    SET_UP = "1-set-up"  # report 1, section 4
    KEY = "1-key"  # report 1, section 5
    SUMMARY = "1-summary"  # report 1, the summary of the results
    OUTPUT = "1-output"  # report 1, k6's output as printed there
    TABLE = "2-table"  # report 2, section 4.3
    TEXT = "2-text"  # report 2, the text below that table


class Told(NamedTuple):
    """One figure."""

    system: System
    place: Place
    en: str
    ko: str


def _told(system: System, place: Place, en: str, ko: str = "") -> Told:
    return Told(system, place, en, ko or en)


def _report_1(place: Place, single: str, kafka: str) -> tuple[Told, ...]:
    return _told(System.SINGLE, place, single), _told(System.KAFKA, place, kafka)


def _report_2(redis: str, first: str, second: str) -> tuple[Told, ...]:
    figures = (System.REDIS, redis), (System.KAFKA_1, first), (System.KAFKA_2, second)
    return tuple(_told(system, Place.TABLE, figure) for system, figure in figures)


_BOTH_OUTPUTS = _report_1(Place.OUTPUT, "83.33/s", "83.33/s")

# By the key of the row beside which they stand.
TOLD: dict[str, tuple[Told, ...]] = {
    "requests": (
        *_report_1(Place.SUMMARY, "5,000", "5,000"),
        *_report_1(Place.OUTPUT, "5,000", "5,000"),
        *_report_2("12,551", "14,848", "14,904"),
    ),
    "success_percent": _report_1(Place.SUMMARY, "88 %", "98.5 %"),
    "failed_percent": (
        _told(
            System.SINGLE,
            Place.KEY,
            "12 % (lock conflicts, deadlocks)",
            "12 % (DB Lock 충돌, Deadlock)",
        ),
        _told(System.KAFKA, Place.KEY, "0.01 % (duplicates left out)", "0.01 % (중복요청 제외)"),
        *_report_1(Place.SUMMARY, "12 %", "1.5 %"),
        *_report_1(Place.OUTPUT, "12 % (600/5,000)", "1.5 % (75/5,000)"),
        _told(System.KAFKA_1, Place.TEXT, "5-6 points above Redis", "Redis보다 5~6%p 높음"),
        _told(System.KAFKA_2, Place.TEXT, "5-6 points above Redis", "Redis보다 5~6%p 높음"),
    ),
    "http_avg": (
        *_report_1(Place.SUMMARY, "240 ms", "90 ms"),
        *_report_2("87.49 ms", "83.45 ms", "73.52 ms"),
    ),
    "http_min": _report_1(Place.OUTPUT, "5 ms", "3 ms"),
    "http_med": _report_1(Place.OUTPUT, "220 ms", "75 ms"),
    "http_max": (
        *_report_1(Place.OUTPUT, "1,288 ms", "688 ms"),
        *_report_2("1.16 s", "839.92 ms", "620.52 ms"),
    ),
    "http_p90": (
        *_report_1(Place.OUTPUT, "400 ms", "180 ms"),
        *_report_2("154.53 ms", "167.37 ms", "148 ms"),
    ),
    "http_p95": (
        *_report_1(Place.KEY, "450 ms", "60 ms"),
        *_report_1(Place.SUMMARY, "450 ms", "210 ms"),
        *_report_2("253.58 ms", "228.77 ms", "202.73 ms"),
    ),
    "tps": (
        _told(System.SINGLE, Place.KEY, "low (lock contention)", "낮음 (락 경합)"),
        _told(System.KAFKA, Place.KEY, "high (consumers in parallel)", "높음 (병렬 소비자 확장)"),
        *_report_1(Place.SUMMARY, "250", "600"),
    ),
    "rps_max": (
        _told(System.SINGLE, Place.KEY, "2,500"),
        _told(System.KAFKA, Place.KEY, "6,000 and more", "6,000 이상"),
    ),
    "rps_avg": _BOTH_OUTPUTS,
    "iteration_avg": (
        *_report_1(Place.OUTPUT, "1.6 s", "1.2 s"),
        *_report_2("251.08 ms", "205.53 ms", "215.33 ms"),
    ),
    "iteration_min": _report_1(Place.OUTPUT, "1 s", "1 s"),
    "iteration_med": _report_1(Place.OUTPUT, "1.2 s", "1.1 s"),
    "iteration_max": _report_1(Place.OUTPUT, "10 s", "5 s"),
    "iteration_p90": _report_1(Place.OUTPUT, "2.3 s", "1.8 s"),
    "iteration_p95": _report_1(Place.OUTPUT, "3.1 s", "2.4 s"),
    "iterations": _report_1(Place.OUTPUT, "5,000", "5,000"),
    "iterations_per_second": _BOTH_OUTPUTS,
    "vus": _report_1(Place.OUTPUT, "1 (min 1, max 100)", "1 (min 1, max 500)"),
    "vus_max": (
        _told(System.SINGLE, Place.SET_UP, "5,000 users", "5,000명"),
        _told(System.KAFKA, Place.SET_UP, "5,000 users", "5,000명"),
        *_report_1(Place.OUTPUT, "100", "500"),
        *_report_2("100", "100", "100"),
    ),
    "checks": _report_1(Place.OUTPUT, "5,000 (83.33/s)", "5,000 (166.67/s)"),
    "checks_percent": _report_1(
        Place.OUTPUT, "88 % (4,400/5,000)", "98.5 % (9,850/10,000; 4,925/5,000)"
    ),
    "sent_mb": (
        *_report_1(Place.OUTPUT, "1.5 MB", "3.3 MB"),
        *_report_2("2.3 MB", "2.7 MB", "2.7 MB"),
    ),
    "sent_rate": _report_1(Place.OUTPUT, "25.0 kB/s", "55.0 kB/s"),
    "received_mb": (
        *_report_1(Place.OUTPUT, "2.3 MB", "5.5 MB"),
        *_report_2("2.2 MB", "2.5 MB", "2.5 MB"),
    ),
    "received_rate": _report_1(Place.OUTPUT, "38.3 kB/s", "91.6 kB/s"),
    "seconds": (
        _told(System.SINGLE, Place.SET_UP, "1 min", "1분"),
        _told(System.KAFKA, Place.SET_UP, "1 min", "1분"),
        *_report_2("54.5 s", "47.8 s", "47.7 s"),
    ),
    "issued_share": tuple(
        _told(system, Place.TEXT, "0 % (no coupon was issued)", "0 % (발급 시나리오 실패)")
        for system in (System.REDIS, System.KAFKA_1, System.KAFKA_2)
    ),
    "postgres_cpu": _report_1(Place.SUMMARY, "85 %", "60 %"),
    "postgres_sessions": _report_1(Place.SUMMARY, "90 %", "55 %"),
    "redis_memory": _report_1(Place.SUMMARY, "-", "40 %"),
    "lag_records": (
        _told(System.SINGLE, Place.SUMMARY, "-"),
        _told(System.KAFKA, Place.SUMMARY, "1,000 messages on average", "평균 1,000 메시지"),
    ),
    "recorder_cpu": _report_1(Place.SUMMARY, "-", "70 %"),
}
