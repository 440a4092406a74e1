"""What there is to see when all is over: winners, figures, `verify`, where everybody stands.

It asks the system for its end only; the laws are held against it by checker.py.
"""

import csv
import time
from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import islice

from firstcome.bench.stack import RunningStack, VerbFailed
from firstcome.drill.checker import Ended
from firstcome.drill.eventually import eventually
from firstcome.drill.history import ASK_AGAIN, FINAL, STATUS, Heard, Offer
from firstcome.drill.traffic import Traffic
from firstcome.model import Engine

SHOWN_MAX = 5
# Users looked at in a row: an api that answers nobody does not hold the judge up for minutes.
LOOKS = 500
FIGURES = ("issued", "under_review", "cancelled", "stock_left")


class Judge:
    """Reads the end of some campaigns off a stack that is whole again."""

    def __init__(self, stack: RunningStack, offers: Collection[Offer]) -> None:
        self._stack = stack
        # From the gate to the row, by the servers' clocks: what clients cannot see.
        self.recorded_seconds: list[float] = []
        self.offers = offers

    def ended(self) -> list[Ended]:
        """Return each campaign as operators see it."""
        return [Ended(offer, self._winners(offer), self.shown(offer)) for offer in self.offers]

    def verified(self, grace_seconds: float = 0.001) -> list[str]:
        """Return what `firstcome verify` finds; while claims are under way, give it a grace."""
        numbers = [str(offer.campaign_id) for offer in self.offers]
        verified = self._stack.said(
            "verify",
            *(word for number in numbers for word in ("--campaign", number)),
            exit_code=None,
            FIRSTCOME_LAWS__GRACE_SECONDS=str(grace_seconds),
        )
        found = [
            f"verify {law['law']}: {violation['detail']}"
            for law in verified["laws"]
            for violation in law["violations"][:SHOWN_MAX]
        ]
        return found or ([] if verified["held"] is True else [f"verify: {verified}"])

    def published(self, seconds: float) -> None:
        """Return when no event waits any more: `verify` sees then if all are on the topic."""

        def waiting() -> int:
            told = self._stack.operate("GET", "/v1/overview").json or {}
            return int(told["outbox"]["events"])

        eventually("every event is published", waiting, lambda seen: seen == 0, seconds=seconds)

    def shown(self, offer: Offer) -> dict[str, int]:
        """Return a campaign's figures, as the gate knows them, if it has one."""
        shown = self._stack.said("campaign", "show", str(offer.campaign_id))
        if shown["stock_left_by"] != "gate" and Engine(shown["engine"]).has_gate:
            raise VerbFailed(f"the gate of campaign {offer.campaign_id} is not open: {shown}")
        return {field: shown[field] for field in FIGURES}

    def settle(self, traffic: Traffic, deadline: float) -> None:
        """Look at everybody who may hold a place, until each of them knows. Raises NotSeen."""
        places = undecided_places(traffic.heard)

        def undecided() -> list[str]:
            looked = traffic.look(list(islice(places, LOOKS)), wait=1)
            final = [heard for heard in looked if heard.code in FINAL]
            places.difference_update((heard.campaign_id, heard.user) for heard in final)
            open_ones = [f"{each.user}: {each.code}" for each in looked if each.code not in FINAL]
            return open_ones or [f"{len(places)} are yet to be looked at"] * bool(places)

        left = max(1.0, deadline - time.monotonic())
        eventually("everybody knows", undecided, lambda seen: not seen, seconds=left)

    def sell_out(self, traffic: Traffic, offer: Offer) -> None:
        """Claim whatever is left: a place that has leaked would be missing now. Raises NotSeen."""
        number = 0
        prefix = f"{traffic.seed}-{offer.campaign_id}"

        def left() -> int:
            nonlocal number
            stock_left = self.shown(offer)["stock_left"]
            users = [f"late-{prefix}-{number + n}" for n in range(stock_left)]
            number += stock_left
            traffic.claim(offer.campaign_id, users)
            return self.shown(offer)["stock_left"]

        eventually("the small campaign is sold out", left, lambda seen: seen == 0, seconds=20)
        eventually(
            "who comes after everybody is refused",
            lambda: traffic.claim(offer.campaign_id, [f"last-{prefix}"])[0].code,
            lambda code: code == "COUPON_OUT_OF_STOCK",
            seconds=0,
        )

    def _winners(self, offer: Offer) -> list[tuple[int, str]]:
        text = self._stack.run("campaign", "export", str(offer.campaign_id))
        winners = []
        for row in csv.DictReader(text.splitlines()):
            winners.append((int(row["position"]), row["user_id"]))
            if row["requested_at"]:
                asked, issued = (
                    datetime.fromisoformat(row[name]) for name in ("requested_at", "issued_at")
                )
                self.recorded_seconds.append((issued - asked).total_seconds())
        return winners


def undecided_places(heard: Iterable[Heard]) -> set[tuple[int, str]]:
    """Return who may hold a place, (campaign, user) each, and was not told in the end.

    NOT_REQUESTED is no end while it was said: a request that its client has given up may still lie
    before a process that stands still. It is one when all is healed.
    """
    last: dict[tuple[int, str], bool] = {}
    for each in heard:
        place = (each.campaign_id, each.user)
        if each.is_promise or each.is_in_doubt:
            last[place] = False
        elif place in last and each.act == STATUS and each.code not in ASK_AGAIN:
            last[place] = each.code in FINAL and each.code != "NOT_REQUESTED"
    return {place for place, is_final in last.items() if not is_final}
