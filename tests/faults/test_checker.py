"""The checker finds every violation that is planted in a history, and none in a good one."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import pytest

from firstcome.drill.checker import Checker, Ended
from firstcome.drill.history import CLAIM, INTRUSION, STATUS, Heard, Offer
from firstcome.drill.judge import undecided_places

pytestmark = pytest.mark.faults

OFFER = Offer(7, 3, 1.0)


class World(NamedTuple):
    """A history and its end, to spoil."""

    heard: list[Heard]
    winners: list[tuple[int, str]]
    shown: dict[str, int]


def claim(user: str, at: float, code: str, position: int = 0, key: str | None = "k") -> Heard:
    return Heard(CLAIM, 7, user, key, at, at + 0.5, code, position, "", False)


def look(user: str, at: float, code: str, position: int = 0) -> Heard:
    status = code if position else ""
    return Heard(STATUS, 7, user, None, at, at + 0.5, code, position, status, False)


def intrude(user: str, at: float, code: str, position: int = 0) -> Heard:
    return Heard(INTRUSION, 7, user, None, at, at + 0.5, code, position, "", False)


def good() -> World:
    """Two winners, one of them in doubt at first; one refused, one who never got in.

    And three who came in a name of somebody else.
    """
    heard = [
        claim("ann", 1, "REQUESTED", 1),
        look("ann", 2, "REQUESTED", 1),
        claim("bob", 2, "OUTCOME_UNKNOWN"),
        claim("bob", 3, "REQUESTED", 2),
        claim("cat", 4, "CONNECTION_LOST"),
        claim("dan", 5, "TEMPORARILY_UNAVAILABLE"),
        look("ann", 6, "ISSUED", 1),
        look("bob", 6, "ISSUED", 2),
        intrude("gus", 6, "UNAUTHENTICATED"),
        *(intrude("hal", 6, "CONNECTION_LOST"), intrude("ida", 6, "TIMED_OUT")),
        look("cat", 6, "NOT_REQUESTED"),
    ]
    shown = {"issued": 2, "under_review": 0, "cancelled": 0, "stock_left": 1}
    return World(heard, [(1, "ann"), (2, "bob")], shown)


def judged(world: World) -> list[str]:
    return Checker(world.heard, [Ended(OFFER, world.winners, world.shown)]).violations()


def test_checker_finds_nothing_in_a_good_history() -> None:
    assert judged(good()) == []


def test_places_are_undecided_until_a_look_that_came_after_everything() -> None:
    assert undecided_places(good().heard) == {(7, "cat")}


def test_a_duplicate_of_a_claim_that_was_then_cancelled_is_no_contradiction() -> None:
    world = good()
    beside = Heard(CLAIM, 7, "eli", None, 5.2, 5.4, "DUPLICATE_COUPON_ISSUE", 3, "REQUESTED", False)
    world.heard.extend([claim("eli", 5, "TEMPORARILY_UNAVAILABLE", key=None), beside])
    assert judged(world) == []
    world.heard[-1] = msgspec.structs.replace(beside, invoked=6.2, answered=6.4)
    assert any("never got in" in said for said in judged(world))
    world.heard[-1] = msgspec.structs.replace(beside, status="ISSUED")
    assert any("never got in" in said for said in judged(world))


def test_checker_takes_ask_again_for_no_answer_at_all() -> None:
    world = good()
    world.heard.append(look("bob", 7, "TEMPORARILY_UNAVAILABLE"))
    assert judged(world) == []


def test_of_two_looks_at_once_the_later_answer_is_the_newer() -> None:
    world = good()
    slow = look("cat", 6, "ISSUED", 3)
    quick = msgspec.structs.replace(slow, invoked=6.1, answered=6.2, code="REQUESTED")
    world.heard[-1:] = [quick, world.heard[-1]]
    assert judged(world) == []
    world.heard.append(msgspec.structs.replace(quick, invoked=7, answered=7.1))
    assert any("stands at" in said for said in judged(world))


PLANTED: dict[str, tuple[str, Callable[[World], object]]] = {
    "more than the stock": ("l1", lambda w: w.winners.extend([(3, "x"), (4, "y")])),
    "one user twice": ("l2", lambda w: w.winners.append((3, "ann"))),
    "one position twice": ("l2", lambda w: w.winners.append((2, "cat"))),
    "a promise without a coupon": ("l3", lambda w: w.winners.pop()),
    "a promise of another position": ("l3", lambda w: w.winners.__setitem__(0, (3, "ann"))),
    "the later one comes first": (
        "l5",
        lambda w: (
            w.winners.__setitem__(slice(None), [(1, "bob"), (2, "ann")]),
            w.heard.__setitem__(slice(0, 4), [claim("ann", 1, "REQUESTED", 2)]),
            w.heard.append(claim("bob", 9, "REQUESTED", 1)),
        ),
    ),
    "a place that leaked": ("l6", lambda w: w.shown.update(stock_left=0)),
    "a row that the figures do not know": ("l6", lambda w: w.shown.update(issued=1, stock_left=2)),
    "issued, then not": ("l7", lambda w: w.heard.append(look("ann", 7, "REQUESTED", 1))),
    "issued, then gone": ("l7", lambda w: w.heard.append(look("bob", 7, "NOT_REQUESTED"))),
    "promised, then cancelled": ("l7", lambda w: w.heard.insert(2, look("ann", 3, "CANCELLED", 1))),
    "promised, then elsewhere": ("l7", lambda w: w.heard.insert(2, look("ann", 3, "ISSUED", 3))),
    "let in by a bad token": ("l8", lambda w: w.heard.append(intrude("gus", 8, "REQUESTED", 3))),
    "shown another one's coupon": ("l8", lambda w: w.heard.append(intrude("gus", 8, "ISSUED", 1))),
    "a bad token that reached the gate": (
        "l8",
        lambda w: w.heard.append(intrude("gus", 8, "TEMPORARILY_UNAVAILABLE")),
    ),
    "a row for a bad token": ("l8", lambda w: w.winners.append((3, "gus"))),
    "an answer that cannot be read": (
        "unknown_answers",
        lambda w: w.heard.append(claim("eve", 8, "MALFORMED")),
    ),
    "a coupon for one who was refused": ("uninvited", lambda w: w.winners.append((3, "dan"))),
    "a coupon for a stranger": ("uninvited", lambda w: w.winners.append((3, "eve"))),
    "two promises": ("contradicted", lambda w: w.heard.append(claim("ann", 8, "REQUESTED", 2))),
    "a duplicate of one's own key": (
        "contradicted",
        lambda w: w.heard.append(claim("ann", 8, "DUPLICATE_COUPON_ISSUE", 1)),
    ),
    "two promises without a key": (
        "contradicted",
        lambda w: w.heard.extend(claim("ann", n, "REQUESTED", 1, key=None) for n in (7, 8)),
    ),
    "a duplicate who never got in": (
        "contradicted",
        lambda w: w.heard.append(claim("dan", 8, "DUPLICATE_COUPON_ISSUE", 3, key=None)),
    ),
    "nobody ever told him": ("undecided", lambda w: w.heard.pop()),
    "he was only told to ask again": (
        "undecided",
        lambda w: w.heard.__setitem__(-1, look("cat", 6, "TEMPORARILY_UNAVAILABLE")),
    ),
    "still under way": ("undecided", lambda w: w.heard.append(look("cat", 8, "REQUESTED", 3))),
    "told of a coupon that is not there": (
        "undecided",
        lambda w: w.heard.append(look("cat", 8, "ISSUED", 3)),
    ),
    "an answer of no contract": (
        "unknown_answers",
        lambda w: w.heard.append(claim("eve", 8, "INTERNAL_ERROR")),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_checker_finds_what_is_planted(name: str) -> None:
    law, plant = PLANTED[name]
    world = good()
    plant(world)
    found = judged(world)
    assert any(violation.startswith(f"{law}:") for violation in found), found
