"""The laws as clients can see them: a history of answers, held against the rows at the end.

Pure. It knows who asked, what everybody heard and when, and who holds a coupon in the end;
it knows nothing of engines, and takes no word of the system for what it can see itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from firstcome.drill.history import (
    ASK_AGAIN,
    CLAIM,
    FINAL,
    IN_DOUBT,
    INTRUSION,
    LOST,
    STATUS,
    TIMED_OUT,
    UNAUTHENTICATED,
    Heard,
    Offer,
)

# What a claim or a status read may hear in a world where things break.
KNOWN = IN_DOUBT | {
    *("REQUESTED", "DUPLICATE_COUPON_ISSUE", "COUPON_OUT_OF_STOCK", "TEMPORARILY_UNAVAILABLE"),
    *("ISSUED", "UNDER_REVIEW", "CANCELLED", "NOT_REQUESTED"),
}
# What somebody may hear whose token does not count; without an answer nobody was let in.
TURNED_AWAY = frozenset({UNAUTHENTICATED, LOST, TIMED_OUT})
SHOWN_MAX = 10


class Ended(NamedTuple):
    """What operators see of one campaign at the end: winners by position, and the figures."""

    offer: Offer
    winners: list[tuple[int, str]]
    shown: Mapping[str, int]


class Checker:
    """Judges one history. `violations()` is empty when every law holds."""

    def __init__(self, heard: Iterable[Heard], ended: Iterable[Ended]) -> None:
        """`heard` in any order."""
        self._ended = list(ended)
        self._users: dict[tuple[int, str], list[Heard]] = defaultdict(list)
        for each in sorted(heard, key=lambda heard: heard.invoked):
            self._users[each.campaign_id, each.user].append(each)
        self._places = {
            (end.offer.campaign_id, user): position
            for end in self._ended
            for position, user in end.winners
        }

    def violations(self) -> list[str]:
        """Return a sentence for everything that contradicts a law; a few of each kind."""
        found: list[str] = []
        for law in (
            *(self._unknown_answers, self._l1, self._l2, self._l3, self._l5, self._l6, self._l7),
            *(self._l8, self._uninvited, self._contradicted, self._undecided),
        ):
            said = list(law())
            found += [f"{law.__name__.strip('_')}: {each}" for each in said[:SHOWN_MAX]]
            if len(said) > SHOWN_MAX:
                found.append(f"{law.__name__.strip('_')}: and {len(said) - SHOWN_MAX} more")
        return found

    def _unknown_answers(self) -> Iterator[str]:
        for (_, user), history in self._users.items():
            for heard in history:
                if heard.act != INTRUSION and heard.code not in KNOWN:
                    yield f"{user} heard {heard.code!r}"

    def _l1(self) -> Iterator[str]:
        for end in self._ended:
            if len(end.winners) > end.offer.stock:
                yield f"{len(end.winners)} coupons of {end.offer.stock} were issued"

    def _l2(self) -> Iterator[str]:
        for end in self._ended:
            for what in (0, 1):
                values = [winner[what] for winner in end.winners]
                for twice in (
                    {value for value in values if values.count(value) > 1}
                    if len(set(values)) < len(values)
                    else ()
                ):
                    yield f"campaign {end.offer.campaign_id}: {twice!r} twice"

    def _l3(self) -> Iterator[str]:
        """Who was told 202 holds a coupon, at that position."""
        for (campaign_id, user), history in self._users.items():
            for heard in history:
                if heard.is_promise:
                    place = self._places.get((campaign_id, user))
                    if place != heard.position:
                        yield f"{user} was promised {heard.position}, and holds {place}"

    def _l5(self) -> Iterator[str]:
        """Who had his answer before another one began to ask has the lower position."""
        for end in self._ended:
            heard_first, whose = float("inf"), ""
            for position, user in sorted(end.winners, reverse=True):
                history = self._users.get((end.offer.campaign_id, user), [])
                claims = [heard for heard in history if heard.act == CLAIM]
                if claims and heard_first < claims[0].invoked:
                    yield f"{user} asked after {whose} was answered, but is before him ({position})"
                promises = [heard.answered for heard in claims if heard.is_promise]
                if promises and min(promises) < heard_first:
                    heard_first, whose = min(promises), user

    def _l6(self) -> Iterator[str]:
        """Issued, under review and left add up to the stock, and rows agree with the figures."""
        for end in self._ended:
            shown = end.shown
            total = shown["issued"] + shown["under_review"] + shown["stock_left"]
            if total != end.offer.stock or shown["issued"] != len(end.winners):
                yield f"{len(end.winners)} winners, stock {end.offer.stock}, shown {dict(shown)}"

    def _l7(self) -> Iterator[str]:
        """What was ISSUED or promised never goes back, for whoever asks after he was told."""
        for (_, user), history in self._users.items():
            for earlier in history:
                if not earlier.is_promise and earlier.status != "ISSUED":
                    continue
                for later in history:
                    if later.invoked > earlier.answered and goes_back(earlier, later):
                        yield f"{user} heard {earlier.brief()}, then {later.brief()}"

    def _l8(self) -> Iterator[str]:
        """Who comes with a token that does not count is turned away, and nobody gets a coupon."""
        for (campaign_id, user), history in self._users.items():
            intrusions = [heard for heard in history if heard.act == INTRUSION]
            for heard in intrusions:
                if heard.code not in TURNED_AWAY:
                    yield f"{user} was let in by a bad token: {heard.brief()}"
            if intrusions and (campaign_id, user) in self._places:
                place = self._places[campaign_id, user]
                yield f"{user} holds {place} of campaign {campaign_id} by a bad token"

    def _uninvited(self) -> Iterator[str]:
        """Nobody holds a coupon who never asked, or was always and certainly refused."""
        for (campaign_id, user), position in self._places.items():
            claims = [h for h in self._users.get((campaign_id, user), []) if h.act == CLAIM]
            if not any(heard.is_promise or heard.is_in_doubt for heard in claims):
                said = [heard.brief() for heard in claims]
                yield f"{user} holds {position} of campaign {campaign_id}, but heard {said}"

    def _contradicted(self) -> Iterator[str]:
        """All that one user hears of his place, and all that one key hears, fits together."""
        for (_, user), history in self._users.items():
            claims = [heard for heard in history if heard.act == CLAIM]
            promises = [heard for heard in claims if heard.is_promise]
            if len({heard.position for heard in promises}) > 1:
                yield f"{user} was promised {[heard.position for heard in promises]}"
            codes = {heard.code for heard in claims}
            is_duplicate = "DUPLICATE_COUPON_ISSUE" in codes
            if is_duplicate and any(heard.key for heard in claims):
                yield f"{user} was called a duplicate of his own key"
            explained = promises or codes & IN_DOUBT or cancelled_beside(claims)
            if is_duplicate and not explained:
                yield f"{user} was called a duplicate, but never got in: {sorted(codes)}"
            if sum(heard.key is None for heard in promises) > 1:
                yield f"{user} was promised a coupon by two requests without a key"

    def _undecided(self) -> Iterator[str]:
        """At the end everybody who may hold a place knows, and the rows say the same."""
        for (campaign_id, user), history in self._users.items():
            if not any(heard.is_promise or heard.is_in_doubt for heard in history):
                continue
            # "Ask again" says nothing about the place. Of two who ask at the same time the one that
            # is answered later has heard what is newer.
            said = [h for h in history if h.act == STATUS and h.code not in ASK_AGAIN]
            last = max(said, key=lambda heard: heard.answered, default=None)
            if last is None or last.code not in FINAL:
                yield f"{user} stands at {last.brief() if last else 'nothing'} in the end"
            elif (last.code == "ISSUED") != ((campaign_id, user) in self._places):
                place = self._places.get((campaign_id, user))
                yield f"{user} is told {last.brief()}, but the rows say {place}"


def cancelled_beside(claims: Iterable[Heard]) -> bool:
    """Whether each duplicate was told while a claim of the same user was under way and cancelled.

    A 409 with REQUESTED promises nothing: what could certainly not be appended is given back, and
    answered with 503.
    """
    claims = list(claims)
    cancelled = [heard for heard in claims if heard.code == "TEMPORARILY_UNAVAILABLE"]
    return all(
        heard.status == "REQUESTED"
        and any(
            each.invoked < heard.answered and heard.invoked < each.answered for each in cancelled
        )
        for heard in claims
        if heard.code == "DUPLICATE_COUPON_ISSUE"
    )


def goes_back(earlier: Heard, later: Heard) -> bool:
    """Whether a later answer says less than an earlier promise or ISSUED."""
    if later.code in ("NOT_REQUESTED", "COUPON_OUT_OF_STOCK"):
        return True
    if later.position and later.position != earlier.position:
        return True
    if later.status == "CANCELLED":
        return True
    return earlier.status == "ISSUED" and later.status == "REQUESTED"
