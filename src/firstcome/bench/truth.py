"""What the crowd was told, held against the rows that are there.

The laws of the product look at its own engines. This check stands outside: it
knows only who asked, what each user heard, and the rows of PostgreSQL, so it
finds what all engines agree on and no user was told. It is pure, and exact for
every single user.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from firstcome.bench.answers import (
    DOUBTED,
    DUPLICATE,
    OUT_OF_STOCK,
    REFUSED,
    REPLAYED,
    REQUESTED,
    Answers,
)
from firstcome.bench.crowd import KEYED, Crowd, user_id, user_of
from firstcome.model import Status

SHOWN_MAX = 20


class Row(NamedTuple):
    """One row of issuances; `final_at` in seconds since 1970."""

    position: int
    user_id: str | None
    status: str
    final_at: float


class Offer(NamedTuple):
    """One campaign of the drop with the rows that it ended with."""

    campaign_id: int
    stock: int
    rows: Sequence[Row]


class Check(msgspec.Struct, frozen=True):
    """One rule, whether it held, and at most SHOWN_MAX sentences about where it did not."""

    rule: str
    held: bool
    violations_count: int
    violations: list[str]

    @classmethod
    def of(cls, rule: str, violations: Iterable[str]) -> "Check":
        """Take the sentences; none means that the rule held."""
        found = list(violations)
        return cls(rule, not found, len(found), found[:SHOWN_MAX])


LEFT = "no coupon was left that somebody had asked for"


class Truth:
    """The answers of one drop beside its rows. `checks()` says what held."""

    def __init__(self, crowd: Crowd, answers: Answers, offers: Sequence[Offer]) -> None:
        self._crowd = crowd
        self._answers = answers
        self._offers = offers
        self._requests: dict[int, list[int]] = {}
        for request, user in enumerate(crowd.order()):
            self._requests.setdefault(user, []).append(request)

    def checks(self) -> list[Check]:
        """Return every rule with what was found."""
        return [
            Check.of("everybody who was told so has a coupon, at that position", self._told()),
            Check.of("nobody has two, nobody shares a position", self._once()),
            Check.of("no more than the stock", self._stock()),
            Check.of("nobody has a coupon who did not ask or was refused", self._uninvited()),
            Check.of("no answer contradicts another one", self._contradictions()),
            Check.of("first come, first served", self._order()),
            Check.of(LEFT, self._left()),
        ]

    def _live(self) -> dict[str, list[tuple[int, Row]]]:
        """Return the live rows of every name, with the index of their campaign."""
        live: dict[str, list[tuple[int, Row]]] = {}
        for index, offer in enumerate(self._offers):
            for row in offer.rows:
                if row.user_id is not None and row.status != Status.CANCELLED:
                    live.setdefault(row.user_id, []).append((index, row))
        return live

    def _told(self) -> Iterator[str]:
        live = self._live()
        codes, positions = self._answers.code, self._answers.position
        for user, requests in self._requests.items():
            told = {positions[r] for r in requests if codes[r] == REQUESTED}
            if not told:
                continue
            index = self._crowd.campaign_of(user)
            rows = [row for at, row in live.get(user_id(user), ()) if at == index]
            if not rows:
                yield f"{self._who(user)} was told position {min(told)}, but has no row: lost"
            elif rows[0].status != Status.ISSUED:
                yield f"{self._who(user)} was promised a coupon, but is {rows[0].status}"
            elif told != {rows[0].position}:
                yield (
                    f"{self._who(user)} was told position {min(told ^ {rows[0].position})}, "
                    f"but has position {rows[0].position}"
                )

    def _once(self) -> Iterator[str]:
        for offer in self._offers:
            users: set[str] = set()
            positions: set[int] = set()
            for row in offer.rows:
                if row.position in positions:
                    yield f"campaign {offer.campaign_id}: two rows at position {row.position}"
                positions.add(row.position)
                if row.user_id is None or row.status == Status.CANCELLED:
                    continue
                if row.user_id in users:
                    yield f"campaign {offer.campaign_id}: {row.user_id} has two live rows"
                users.add(row.user_id)

    def _stock(self) -> Iterator[str]:
        for offer in self._offers:
            live = sum(row.status != Status.CANCELLED for row in offer.rows)
            if live > offer.stock:
                yield f"campaign {offer.campaign_id}: {live} live rows of {offer.stock} coupons"

    def _uninvited(self) -> Iterator[str]:
        codes, flags = self._answers.code, self._answers.flags
        for name, rows in self._live().items():
            user = user_of(name)
            requests = self._requests.get(-1 if user is None else user)
            for index, row in rows:
                campaign_id = self._offers[index].campaign_id
                where = f"{name} has position {row.position} of campaign {campaign_id}"
                if user is None or requests is None or self._crowd.campaign_of(user) != index:
                    yield f"{where}, but never asked for it"
                elif all(codes[r] in REFUSED and not flags[r] & DOUBTED for r in requests):
                    yield f"{where}, but was refused"

    def _contradictions(self) -> Iterator[str]:
        traits = self._crowd.traits()
        for user, requests in self._requests.items():
            said = self._contradiction(requests, bool(traits[user] & KEYED))
            if said:
                yield f"{self._who(user)} {said}"

    def _contradiction(self, requests: list[int], keyed: bool) -> str:
        """Return what is wrong with the answers to one user, or nothing."""
        answers = self._answers
        codes = {answers.code[r] for r in requests}
        served = [r for r in requests if answers.code[r] == REQUESTED]
        places = {answers.position[r] for r in requests if answers.position[r]}
        if len(places) > 1:
            return f"was told the positions {sorted(places)}"
        if keyed and DUPLICATE in codes:
            return "was told `duplicate` by the key of his own request"
        if not keyed and len(served) > 1:
            return "was promised a coupon twice"
        if not keyed and any(answers.flags[r] & REPLAYED for r in served):
            return "heard a replay without an Idempotency-Key"
        doubted = any(answers.flags[r] & DOUBTED for r in requests)
        if DUPLICATE in codes and not doubted and codes <= REFUSED:
            return "was told `duplicate`, but none of his requests got in"
        if served and OUT_OF_STOCK in codes:
            heard = min(answers.done[r] for r in served)
            if any(answers.sent[r] > heard for r in requests if answers.code[r] == OUT_OF_STOCK):
                return "was told `sold out` after he had been promised a coupon"
        return ""

    def _order(self) -> Iterator[str]:
        """Who had his answer before another one sent his request has the lower position."""
        answers = self._answers
        came: list[dict[int, tuple[float, float, int]]] = [{} for _ in self._offers]
        for user, requests in self._requests.items():
            served = [r for r in requests if answers.code[r] == REQUESTED]
            # A try that ended in doubt may have been the one that got in, at an unknown time.
            if served and not any(answers.flags[r] & DOUBTED for r in requests):
                sent = min(answers.sent[r] for r in requests)
                done = min(answers.done[r] for r in served)
                position = answers.position[served[0]]
                came[self._crowd.campaign_of(user)][position] = (sent, done, user)
        for positions in came:
            done_first, whose = float("inf"), -1
            for position in sorted(positions, reverse=True):
                sent, done, user = positions[position]
                if done_first < sent:
                    yield (
                        f"{self._who(user)} sent his request after {user_id(whose)} had his "
                        f"answer, but has the lower position {position}"
                    )
                if done < done_first:
                    done_first, whose = done, user

    def _left(self) -> Iterator[str]:
        for index, offer in enumerate(self._offers):
            issued = sum(row.status == Status.ISSUED for row in offer.rows)
            wanted = min(offer.stock, self._crowd.users_of(index))
            if issued < wanted:
                yield (
                    f"campaign {offer.campaign_id}: {issued} issued, although "
                    f"{self._crowd.users_of(index)} users asked for {offer.stock} coupons"
                )

    def _who(self, user: int) -> str:
        campaign_id = self._offers[self._crowd.campaign_of(user)].campaign_id
        return f"{user_id(user)} (campaign {campaign_id})"
