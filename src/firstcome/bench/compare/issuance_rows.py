"""The rows of what became of the claims: the waiting for ISSUED, the rows a second, the truth.

The source had none of them but the share of coupons that were issued at all.
"""

from firstcome.bench.compare.missing import Missing
from firstcome.bench.compare.readings import Reading
from firstcome.bench.compare.row import Row
from firstcome.bench.run import Run


def _issued_times() -> tuple[Row, ...]:
    def read(part: str) -> Reading:
        def value(run: Run) -> float | None:
            found: float | None = getattr(run.outcome.issued_ms, part)
            return found

        return value

    return tuple(
        Row(
            f"issued_{part}",
            "issuance",
            "ms",
            f"Asked to ISSUED, {part if part != 'med' else 'p50'}",
            f"요청부터 ISSUED까지 {'P50' if part == 'med' else part.upper()}",
            read(part),
            Missing.NO_COMMIT_TIMES,
        )
        for part in ("med", "p95", "p99")
    )


ISSUANCE_ROWS = (
    *_issued_times(),
    Row(
        "persisted",
        "issuance",
        "/s",
        "Persisted a second: rows, until the last one",
        "초당 기록 (마지막 행까지)",
        lambda run: run.outcome.persisted_per_second,
        Missing.NOTHING_ISSUED,
    ),
    Row(
        "final_after",
        "issuance",
        "s",
        "From the last answer to the last row",
        "마지막 응답부터 마지막 행까지",
        lambda run: run.outcome.final_after_seconds,
        Missing.NOTHING_ISSUED,
    ),
    Row(
        "cpu_per_issuance",
        "issuance",
        "us",
        "CPU time per issuance, of the parts that the engine needs",
        "발급 1건당 CPU 시간 (해당 엔진의 구성 요소)",
        lambda run: run.cpu_us_per_issuance,
        Missing.NO_CPU_TIMES,
    ),
    Row(
        "issued",
        "correctness",
        "count",
        "Coupons issued",
        "발급된 쿠폰",
        lambda run: run.outcome.issued,
    ),
    Row(
        "issued_share",
        "correctness",
        "%",
        "Issued, of what had to be",
        "발급 성공률 (발급되어야 할 수량 대비)",
        lambda run: (
            100 * run.outcome.issued / run.outcome.expected if run.outcome.expected else None
        ),
        Missing.NOTHING_ISSUED,
    ),
    *(
        Row(key, "correctness", "count", en, ko, read)
        for key, en, ko, read in (
            (
                "lost",
                "Lost: accepted, never issued",
                "유실 (접수 후 미발급)",
                lambda run: run.outcome.lost,
            ),
            ("doubled", "Doubled: issued twice", "중복 발급", lambda run: run.outcome.doubled),
            (
                "oversold",
                "Oversold: beyond the stock",
                "초과 발급",
                lambda run: run.outcome.oversold,
            ),
            (
                "unsold",
                "Unsold: left although somebody was refused",
                "미판매 (거절된 사람이 있는데 남은 쿠폰)",
                lambda run: run.outcome.unsold,
            ),
            (
                "given_up",
                "Left: whoever asked had given up",
                "남음 (답을 받기 전에 포기한 사람의 몫)",
                lambda run: run.outcome.given_up,
            ),
        )
    ),
    Row(
        "held",
        "correctness",
        "held",
        "Every check and law held",
        "모든 검사·법칙 준수",
        lambda run: float(run.outcome.held),
    ),
)
