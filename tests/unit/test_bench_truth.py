"""The check of answers against rows: silent about a true drop, and loud about every planted lie."""

from collections.abc import Callable

import pytest

from firstcome.bench.answers import (
    CODES,
    DOUBTED,
    DUPLICATE,
    NUMBER,
    OUT_OF_STOCK,
    REPLAYED,
    REQUESTED,
    Answers,
)
from firstcome.bench.crowd import KEYED, TWICE, Crowd, user_id
from firstcome.bench.truth import SHOWN_MAX, Check, Offer, Row, Truth

pytestmark = pytest.mark.unit

STOCK = 30
CROWD = Crowd(users=100, campaigns=2, twice=0.4, keyed=0.5, seed=5)
UNKNOWN, UNAVAILABLE = NUMBER["OUTCOME_UNKNOWN"], NUMBER["TEMPORARILY_UNAVAILABLE"]


class Told:
    """A drop that went well: one request after another, thirty coupons in each of two campaigns."""

    def __init__(self) -> None:
        self.order = CROWD.order()
        self.traits = CROWD.traits()
        self.answers = Answers(len(self.order))
        self.rows: list[list[Row]] = [[], []]
        self.place: dict[int, int] = {}
        for request, user in enumerate(self.order):
            self._answer(request, user)

    def _answer(self, request: int, user: int) -> None:
        rows = self.rows[CROWD.campaign_of(user)]
        flags = 0
        if user in self.place:
            keyed = self.traits[user] & KEYED
            code, flags = (REQUESTED, REPLAYED) if keyed else (DUPLICATE, 0)
        elif len(rows) < STOCK:
            self.place[user] = len(rows) + 1
            rows.append(Row(len(rows) + 1, user_id(user), "ISSUED", request + 0.9))
            code = REQUESTED
        else:
            code = OUT_OF_STOCK
        self.answer(request, code, self.place.get(user, 0), flags)
        self.answers.sent[request], self.answers.done[request] = request, request + 0.5

    def answer(self, request: int, code: int, position: int = 0, flags: int = 0) -> None:
        self.answers.code[request] = code
        self.answers.position[request] = position
        self.answers.flags[request] = flags

    def requests(self, code: int, traits: int | None = None) -> list[int]:
        """Return the requests of users with these traits (None: any) that heard a code."""
        return [
            request
            for request, user in enumerate(self.order)
            if self.answers.code[request] == code
            and (traits is None or self.traits[user] == traits)
        ]

    def row_of(self, request: int) -> tuple[list[Row], int]:
        user = self.order[request]
        return self.rows[CROWD.campaign_of(user)], self.place[user] - 1

    def checks(self) -> list[Check]:
        offers = [Offer(campaign + 11, STOCK, rows) for campaign, rows in enumerate(self.rows)]
        return Truth(CROWD, self.answers, offers).checks()

    def broken(self) -> set[str]:
        return {check.rule.split(",")[0] for check in self.checks() if not check.held}


def test_truth_holds_for_a_drop_that_went_well() -> None:
    told = Told()
    assert {CODES[code] for code in told.answers.code} == {
        "REQUESTED",
        "DUPLICATE_COUPON_ISSUE",
        "COUPON_OUT_OF_STOCK",
    }
    assert told.broken() == set()


def test_truth_holds_when_a_user_in_doubt_has_a_coupon() -> None:
    told = Told()
    request = told.requests(REQUESTED, traits=0)[0]
    told.answer(request, UNKNOWN, flags=DOUBTED)
    assert told.broken() == set()


def lost(told: Told) -> None:
    rows, at = told.row_of(told.requests(REQUESTED)[3])
    del rows[at]


def wrong_position(told: Told) -> None:
    told.answers.position[told.requests(REQUESTED, traits=0)[0]] += 40


def swapped(told: Told) -> None:
    first, second = (told.row_of(request) for request in told.requests(REQUESTED, traits=0)[:2])
    one, other = first[0][first[1]], second[0][second[1]]
    first[0][first[1]] = one._replace(user_id=other.user_id)
    second[0][second[1]] = other._replace(user_id=one.user_id)


def set_aside(told: Told) -> None:
    rows, at = told.row_of(told.requests(REQUESTED)[0])
    rows[at] = rows[at]._replace(status="UNDER_REVIEW")


def cancelled(told: Told) -> None:
    rows, at = told.row_of(told.requests(REQUESTED)[0])
    rows[at] = rows[at]._replace(status="CANCELLED", user_id=None)


def doubled(told: Told) -> None:
    rows, at = told.row_of(told.requests(REQUESTED)[0])
    rows.append(rows[at]._replace(position=STOCK + 1))


def shared_position(told: Told) -> None:
    rows, at = told.row_of(told.requests(REQUESTED)[0])
    user = told.order[told.requests(OUT_OF_STOCK)[0]]
    rows.append(rows[at]._replace(user_id=user_id(user)))


def oversold(told: Told) -> None:
    request = told.requests(OUT_OF_STOCK, traits=0)[0]
    user = told.order[request]
    told.answer(request, REQUESTED, STOCK + 1)
    told.rows[CROWD.campaign_of(user)].append(Row(STOCK + 1, user_id(user), "ISSUED", 1.0))


def stranger(told: Told) -> None:
    rows, at = told.row_of(told.requests(REQUESTED, traits=0)[0])
    told.answer(told.requests(REQUESTED, traits=0)[0], UNKNOWN, flags=DOUBTED)
    rows[at] = rows[at]._replace(user_id="somebody-else")


def refused_but_issued(told: Told) -> None:
    told.answer(told.requests(REQUESTED, traits=0)[0], OUT_OF_STOCK)


def duplicate_of_nothing(told: Told) -> None:
    told.answer(told.requests(OUT_OF_STOCK, traits=0)[0], DUPLICATE)


def duplicate_to_the_winner(told: Told) -> None:
    told.answer(told.requests(REQUESTED, traits=KEYED | TWICE)[1], DUPLICATE)


def promised_twice(told: Told) -> None:
    request = told.requests(DUPLICATE, traits=TWICE)[0]
    told.answer(request, REQUESTED, told.place[told.order[request]])


def replay_without_a_key(told: Told) -> None:
    told.answers.flags[told.requests(REQUESTED, traits=0)[0]] = REPLAYED


def sold_out_to_the_winner(told: Told) -> None:
    told.answer(told.requests(REQUESTED, traits=KEYED | TWICE)[1], OUT_OF_STOCK)


def overtaken(told: Told) -> None:
    first, *_, last = told.requests(REQUESTED, traits=0)
    told.answers.sent[first] = told.answers.done[last] + 500
    told.answers.done[first] = told.answers.sent[first] + 1


def left_over(told: Told) -> None:
    request = told.requests(REQUESTED, traits=0)[-1]
    rows, at = told.row_of(request)
    told.answer(request, UNAVAILABLE)
    rows[at] = rows[at]._replace(status="CANCELLED", user_id=None)


TOLD = "everybody who was told so has a coupon"
ONCE = "nobody has two"
STOCK_RULE = "no more than the stock"
UNINVITED = "nobody has a coupon who did not ask or was refused"
CONTRADICTION = "no answer contradicts another one"
ORDER = "first come"
LEFT = "no coupon was left that somebody had asked for"


@pytest.mark.parametrize(
    ("plant", "rules"),
    [
        (lost, {TOLD, LEFT}),
        (wrong_position, {TOLD, ORDER}),
        (swapped, {TOLD}),
        (set_aside, {TOLD, LEFT}),
        (cancelled, {TOLD, LEFT}),
        (doubled, {ONCE, STOCK_RULE}),
        (shared_position, {ONCE, STOCK_RULE, UNINVITED}),
        (oversold, {STOCK_RULE}),
        (stranger, {UNINVITED}),
        (refused_but_issued, {UNINVITED}),
        (duplicate_of_nothing, {CONTRADICTION}),
        (duplicate_to_the_winner, {CONTRADICTION}),
        (promised_twice, {CONTRADICTION}),
        (replay_without_a_key, {CONTRADICTION}),
        (sold_out_to_the_winner, {CONTRADICTION}),
        (overtaken, {ORDER}),
        (left_over, {LEFT}),
    ],
)
def test_truth_finds_a_planted(plant: Callable[[Told], None], rules: set[str]) -> None:
    told = Told()
    plant(told)
    assert told.broken() == rules


def test_truth_counts_all_and_shows_some() -> None:
    told = Told()
    for rows in told.rows:
        rows.clear()
    lost_all = told.checks()[0]
    assert lost_all.violations_count == 2 * STOCK
    assert len(lost_all.violations) == SHOWN_MAX
    assert "lost" in lost_all.violations[0]
