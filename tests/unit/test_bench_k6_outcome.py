"""Promises that k6 heard, held against the rows, user by user."""

import msgspec
import pytest

from firstcome.bench.arrivals import Arrivals
from firstcome.bench.crowd import Crowd
from firstcome.bench.k6_outcome import outcome_of_promises
from firstcome.bench.k6_summary import Heard, Promise
from firstcome.bench.plan import Asked
from firstcome.bench.run import K6, Distribution, Load, Outcome
from firstcome.bench.truth import Row

ASKED = Asked(coupons=2, crowd=Crowd(10, 2), arrivals=Arrivals("burst"), engine="queue")
NONE = Distribution(0)
LOAD = Load(K6, 1.0, 9, 3, 6, 0, 0, NONE, NONE, 9.0, 1, 5, 100, 200)
PROMISES = [
    Promise("ann", 7, 1, 100.0),
    Promise("bob", 8, 1, 100.5),
    Promise("eve", 8, 2, 101.0),
]
ROWS = {
    7: [Row(1, "ann", "ISSUED", 100.25)],
    8: [Row(1, "bob", "ISSUED", 100.6), Row(2, "eve", "ISSUED", 101.1)],
}


def judged(
    rows: dict[int, list[Row]] = ROWS,
    users: int = 3,
    broken: tuple[str, ...] = (),
    load: Load = LOAD,
) -> Outcome:
    """Judge three promises of a crowd that had `users` before its time was up."""
    heard = Heard(load, users, 3, 0, NONE, NONE, 100.0, 101.0, 101.05, PROMISES, 1.0, [])
    return outcome_of_promises(ASKED, heard, rows, {"api": 0.5}, broken)


def changed(campaign: int, *rows: Row) -> dict[int, list[Row]]:
    """Return the rows with those of one campaign replaced."""
    return ROWS | {campaign: list(rows)}


def test_kept_promises_are_timed_from_the_request_to_the_row() -> None:
    outcome = judged()
    assert (outcome.accepted, outcome.issued, outcome.lost, outcome.doubled) == (3, 3, 0, 0)
    assert outcome.issued_ms.min == pytest.approx(100)
    assert outcome.issued_ms.max == pytest.approx(250)
    assert outcome.persisted_per_second == pytest.approx(2.7)
    assert outcome.final_after_seconds == pytest.approx(0.1)


def test_what_was_expected_follows_from_who_came() -> None:
    everybody = judged(users=9)
    assert (everybody.expected, everybody.unsold, everybody.held) == (4, 1, False)
    few = judged(users=3)  # two wanted the first campaign, one the second
    assert (few.expected, few.held) == (3, True)
    refused = msgspec.structs.replace(LOAD, overloaded=1)
    excused = judged(users=9, load=refused)
    assert (excused.unsold, excused.given_up) == (0, 1), "who heard 503 did not ask again"
    assert excused.held


@pytest.mark.parametrize(
    ("rows", "lost", "moved"),
    [
        (changed(7), 1, 0),
        (changed(7, Row(2, "ann", "ISSUED", 100.2)), 0, 1),
        (changed(7, Row(1, "ann", "UNDER_REVIEW", 100.2)), 1, 0),
        (changed(8, *ROWS[7]), 2, 0),
    ],
)
def test_promise_without_its_row_is_lost_or_moved(
    rows: dict[int, list[Row]], lost: int, moved: int
) -> None:
    outcome = judged(rows, users=3)
    assert (outcome.lost, outcome.moved, outcome.held) == (lost, moved, False)
    assert "everybody who was told so has a coupon, at that position" in outcome.broken


def test_second_rows_and_rows_beyond_the_stock_are_counted() -> None:
    twice = judged(changed(7, *ROWS[7], Row(2, "ann", "ISSUED", 100.3)), users=3)
    assert (twice.doubled, twice.oversold, twice.broken) == (1, 0, ["nobody has two"])
    too_many = judged(changed(7, *ROWS[7], *(Row(n, f"u{n}", "ISSUED", 100.3) for n in (2, 3))))
    assert (too_many.doubled, too_many.oversold) == (0, 1)
    assert "no more than the stock" in too_many.broken


def test_broken_law_breaks_the_run_though_every_promise_was_kept() -> None:
    outcome = judged(broken=("L1 never more than the stock",))
    assert (outcome.lost, outcome.held) == (0, False)
    assert msgspec.to_builtins(outcome)["broken"] == ["L1 never more than the stock"]
