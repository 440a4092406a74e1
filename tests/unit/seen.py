"""A rehearsal as it could have been seen, made by hand: for tests of what is concluded from it."""

from typing import Any

from firstcome.bench.answers import NUMBER, REQUESTED, TOLD_TO_RETRY, Answers
from firstcome.bench.truth import Offer, Row
from firstcome.drill.probes import Probe
from firstcome.drill.rehearsal import Load, Rehearsed

Heard = tuple[float, float, str]  # sent, done, code
STARTED_AT = 1_000.0
UNAVAILABLE, UNKNOWN = "TEMPORARILY_UNAVAILABLE", "OUTCOME_UNKNOWN"


def steady(
    since: float, until: float, code: str = "REQUESTED", per_second: int = 10
) -> list[Heard]:
    """Return one answer of a kind every so often, each after 10 ms."""
    count = round((until - since) * per_second)
    return [(since + n / per_second, since + n / per_second + 0.01, code) for n in range(count)]


def rehearsed(
    heard: list[Heard],
    row_waits: dict[int, float] | None = None,
    *,
    seconds: float,
    silent: int = 0,
    **changes: Any,
) -> Rehearsed:
    """Return it. Each acceptance has a row 20 ms later, or `row_waits` by position.

    `silent` of the unserved are not told when to come again.
    """
    answers = Answers(len(heard))
    rows, position = list[Row](), 0
    for request, (sent, done, code) in enumerate(sorted(heard)):
        answers.scheduled[request] = answers.sent[request] = sent
        answers.done[request], answers.code[request] = done, NUMBER[code]
        answers.tries[request] = 1
        if NUMBER[code] == REQUESTED:
            position += 1
            answers.position[request] = position
            wait = (row_waits or {}).get(position, 0.02)
            rows.append(Row(position, f"u{request:08d}", "ISSUED", STARTED_AT + done + wait))
        elif code in (UNAVAILABLE, UNKNOWN):
            answers.flags[request] = 0 if silent else TOLD_TO_RETRY
            silent = max(0, silent - 1)
    load = Load(rate=10.0, seconds=seconds, coupons=len(rows), seed=1)
    found = {
        "load": load,
        "started_at": STARTED_AT,
        "answers": answers,
        "offers": [Offer(1, len(rows), rows)],
        "probes": list[Probe](),
        "lag": list[tuple[float, int]](),
        "final": True,
        "violations": list[str](),
    }
    return Rehearsed(**(found | changes))
