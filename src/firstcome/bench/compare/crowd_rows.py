"""The rows of what the crowd sent and heard: k6's summary, row by row, and p99 beside it.

A success is the answer that the rules ask for: a coupon, or a refusal of the rules (sold out, a
duplicate, not open). Overload answers count as failures, so that no engine gains by refusing work.
"""

from collections.abc import Callable

from firstcome.bench.compare.missing import Missing
from firstcome.bench.compare.readings import Reading
from firstcome.bench.compare.row import Row
from firstcome.bench.run import Distribution, Run


def _times(key: str, group: str, titles: tuple[str, str], of: str) -> tuple[Row, ...]:
    """Return a row for each figure of a distribution of the load."""
    names = (
        ("avg", "average", "평균"),
        ("min", "shortest", "최솟값"),
        ("med", "median", "중앙값"),
        ("max", "longest", "최댓값"),
        ("p90", "p90", "P90"),
        ("p95", "p95", "P95"),
        ("p99", "p99", "P99"),
    )
    otherwise = Missing.NO_ITERATIONS if group == "iteration" else Missing.NO_ANSWER
    return tuple(
        Row(
            f"{key}_{part}",
            group,
            "ms",
            f"{titles[0]}, {en}",
            f"{titles[1]} {ko}",
            _part(of, part),
            otherwise,
        )
        for part, en, ko in names
    )


def _part(of: str, part: str) -> Reading:
    def read(run: Run) -> float | None:
        found: Distribution = getattr(run.load, of)
        value: float | None = getattr(found, part)
        return value

    return read


def _percent(count: Callable[[Run], float]) -> Reading:
    return lambda run: 100 * count(run) / run.load.requests if run.load.requests else None


def _per_second(count: Callable[[Run], float | None], per: float = 1.0) -> Reading:
    def read(run: Run) -> float | None:
        value = count(run)
        return None if value is None or not run.load.seconds else value / run.load.seconds / per

    return read


def _or_none(count: int) -> int | None:
    """Return a count, or None where 0 stands for a thing that does not exist."""
    return count or None


def _millions(count: int | None) -> float | None:
    return None if count is None else count / 1e6


SERVED_ROWS = (
    Row("requests", "requests", "count", "Requests", "총 요청 수", lambda run: run.load.requests),
    Row(
        "success_percent",
        "requests",
        "%",
        "Success rate: the answer that the rules ask for",
        "응답 성공률 (규칙이 요구하는 응답)",
        _percent(lambda run: run.load.served + run.load.refused),
    ),
    Row(
        "failed_percent",
        "requests",
        "%",
        "Request failure rate: overload answers and faults",
        "요청 실패율 (과부하 응답 + 장애)",
        _percent(lambda run: run.load.overloaded + run.load.faults),
    ),
    Row(
        "overloaded_percent",
        "requests",
        "%",
        "of these: overload answers, 429 and 503",
        "└ 과부하 응답 (429·503)",
        _percent(lambda run: run.load.overloaded),
    ),
    Row(
        "faults_percent",
        "requests",
        "%",
        "of these: faults, no answer or an unknown one",
        "└ 장애 (무응답·계약 밖의 응답)",
        _percent(lambda run: run.load.faults),
    ),
    Row(
        "tps",
        "requests",
        "/s",
        "TPS: users promised a coupon a second",
        "TPS (초당 접수 건수)",
        lambda run: run.outcome.accepted_per_second,
        Missing.NOTHING_ISSUED,
    ),
    Row(
        "rps_max",
        "requests",
        "/s",
        "Highest RPS: the best second",
        "최대 RPS (가장 빠른 1초)",
        lambda run: run.load.requests_per_second_max,
        Missing.NOT_PER_SECOND,
    ),
    Row(
        "rps_avg",
        "requests",
        "/s",
        "Average RPS",
        "평균 RPS",
        lambda run: run.load.requests_per_second if run.load.requests else None,
    ),
)

RESPONSE_ROWS = _times("http", "response", ("Response time", "응답 시간"), "http_ms")

ITERATION_ROWS = (
    *_times("iteration", "iteration", ("Iteration", "iteration 시간"), "iteration_ms"),
    Row(
        "iterations",
        "iteration",
        "count",
        "Iterations",
        "iteration 수",
        lambda run: _or_none(run.load.iteration_ms.count),
        Missing.NO_ITERATIONS,
    ),
    Row(
        "iterations_per_second",
        "iteration",
        "/s",
        "Iterations a second",
        "초당 iteration",
        _per_second(lambda run: _or_none(run.load.iteration_ms.count)),
        Missing.NO_ITERATIONS,
    ),
    Row(
        "vus",
        "iteration",
        "count",
        "VUs, lowest (built-in: connections)",
        "VU 수 최소 (built-in은 연결 수)",
        lambda run: run.load.virtual_users_min if run.load.virtual_users_max else None,
        Missing.NO_VIRTUAL_USERS,
    ),
    Row(
        "vus_max",
        "iteration",
        "count",
        "VUs, highest (built-in: connections)",
        "VU 수 최대 (built-in은 연결 수)",
        lambda run: _or_none(run.load.virtual_users_max),
        Missing.NO_VIRTUAL_USERS,
    ),
    Row(
        "checks",
        "iteration",
        "count",
        "Checks: one an answer",
        "검사(checks) 수 (응답마다 1건)",
        lambda run: run.load.requests,
    ),
    Row(
        "checks_percent",
        "iteration",
        "%",
        "Checks passed: an answer of the contract",
        "검사 통과율 (계약에 있는 응답)",
        _percent(lambda run: run.load.requests - run.load.faults),
    ),
    Row(
        "sent_mb",
        "network",
        "MB",
        "Data sent",
        "데이터 송신량",
        lambda run: _millions(run.load.bytes_sent),
        Missing.BYTES_NOT_COUNTED,
    ),
    Row(
        "sent_rate",
        "network",
        "kB/s",
        "Data sent a second",
        "초당 송신량",
        _per_second(lambda run: run.load.bytes_sent, 1e3),
        Missing.BYTES_NOT_COUNTED,
    ),
    Row(
        "received_mb",
        "network",
        "MB",
        "Data received",
        "데이터 수신량",
        lambda run: _millions(run.load.bytes_received),
        Missing.BYTES_NOT_COUNTED,
    ),
    Row(
        "received_rate",
        "network",
        "kB/s",
        "Data received a second",
        "초당 수신량",
        _per_second(lambda run: run.load.bytes_received, 1e3),
        Missing.BYTES_NOT_COUNTED,
    ),
    Row("seconds", "network", "s", "Test time", "테스트 시간", lambda run: run.load.seconds),
)
