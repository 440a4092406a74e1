"""One fault from end to end: a crowd comes, something breaks and heals, everybody is judged.

The crowd wants two campaigns: a large one that never runs out, where order and promises show,
and a small one that is sold out about when the fault hits, where places leak or double.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from urllib.parse import urlsplit

from checker import FINAL, Checker, Ended, is_promise
from injector import Injector
from traffic import CLAIM, IN_DOUBT, TIMED_OUT, Heard, Offer, Traffic

from running import RunningStack, eventually

RATE = 320.0  # visitors a second
ACCEPTED_PER_SECOND_MIN = 100
LARGE, SMALL = 50_000, 250


class Ordeal:
    """A stack, a seed, and what became of the crowd."""

    def __init__(self, stack: RunningStack, seed: int) -> None:
        """Make both campaigns. The seed is printed, to repeat a run with FIRSTCOME_SEED."""
        print(f"seed {seed}")
        self.stack = stack
        self.seed = seed
        self.injector = Injector(stack)
        self.offers = [
            Offer(stack.create(LARGE, name="large"), LARGE, 0.75),
            Offer(stack.create(SMALL, name="small"), SMALL, 0.25),
        ]
        self.heard: list[Heard] = []
        self.ended: list[Ended] = []

    def undergo(self, fault: Callable[[Injector], None], final_within: float) -> None:
        """Let the crowd come, break something, and judge; fails with every violation found."""
        address = urlsplit(self.stack.urls["api"])
        with Traffic(
            (address.hostname or "", address.port or 0),
            self.stack.identify,
            self.offers,
            self.seed,
            RATE,
        ) as traffic:
            self.heard = traffic.heard
            self._flows(traffic, after=Random(self.seed).randint(100, 400))
            fault(self.injector)
            healed = time.monotonic()
            self._flows(traffic, after=0)
            traffic.stop()
            self._settle(traffic, healed + final_within)
            print(f"everything final {time.monotonic() - healed:.1f} s after the fault")
            self._sell_out(traffic, self.offers[1])
            self._settle(traffic, time.monotonic() + final_within)
        self._judge()

    def _flows(self, traffic: Traffic, after: int) -> None:
        """Wait until claims succeed at the rate that is asked for."""
        began = time.monotonic()
        eventually(
            f"{ACCEPTED_PER_SECOND_MIN} claims are accepted in a second",
            lambda: (
                traffic.accepted_since(time.monotonic() - 1),
                traffic.accepted_since(began),
                Counter(heard.code for heard in traffic.heard[-500:]),
            ),
            lambda seen: seen[0] >= ACCEPTED_PER_SECOND_MIN and seen[1] >= after,
            seconds=40,
        )

    def _settle(self, traffic: Traffic, deadline: float) -> None:
        """Look at everybody who may hold a place, until each of them knows."""
        places = {
            (heard.campaign_id, heard.user)
            for heard in traffic.heard
            if heard.act == CLAIM and (is_promise(heard) or heard.code in IN_DOUBT)
        }

        def undecided() -> list[tuple[str, str]]:
            looked = traffic.look(places, wait=1)
            open_ones = [heard for heard in looked if heard.code not in FINAL]
            places.intersection_update((heard.campaign_id, heard.user) for heard in open_ones)
            return [(heard.user, heard.code) for heard in open_ones]

        left = max(1.0, deadline - time.monotonic())
        eventually("everybody knows", undecided, lambda seen: not seen, seconds=left)

    def _sell_out(self, traffic: Traffic, offer: Offer) -> None:
        """Claim whatever is left: a place that has leaked would be missing now."""
        number = 0

        def left() -> int:
            nonlocal number
            stock_left = self._shown(offer)["stock_left"]
            users = [f"late-{self.seed}-{number + n}" for n in range(stock_left)]
            number += stock_left
            traffic.claim(offer.campaign_id, users)
            return int(self._shown(offer)["stock_left"])

        eventually("the small campaign is sold out", left, lambda seen: seen == 0, seconds=20)
        (refused,) = traffic.claim(offer.campaign_id, [f"last-{self.seed}"])
        assert refused.code == "COUPON_OUT_OF_STOCK", refused

    def _judge(self) -> None:
        numbers = [str(offer.campaign_id) for offer in self.offers]
        self.ended = [
            Ended(offer, self._winners(offer), self._shown(offer)) for offer in self.offers
        ]
        print(f"claims: {self._counted(h.code for h in self.heard if h.act == CLAIM)}")
        found = Checker(self.heard, self.ended).violations()
        late = [heard for heard in self.heard if heard.code == TIMED_OUT]
        found += [f"no answer: {heard}" for heard in late[:5]]
        restarts, expected = self.injector.restarts_seen(), self.injector.restarts
        found += [
            f"{name} was restarted, and nobody had ended it: {restarts[name]}, not {expected[name]}"
            for name in restarts
            if restarts[name] != expected[name]
        ]
        verified = self.stack.said(
            "verify",
            *(word for number in numbers for word in ("--campaign", number)),
            exit_code=None,
            FIRSTCOME_LAWS__GRACE_SECONDS="0.001",
        )
        found += [
            f"verify {law['law']}: {violation['detail']}"
            for law in verified["laws"]
            for violation in law["violations"][:5]
        ]
        evidence = "; ".join(self.injector.evidence)
        assert not found, f"seed {self.seed} ({evidence}):\n" + "\n".join(found)
        assert verified["held"] is True
        assert len(self.ended[1].winners) + self.ended[1].shown["under_review"] == SMALL

    def _winners(self, offer: Offer) -> list[tuple[int, str]]:
        rows = self.stack.run("campaign", "export", str(offer.campaign_id)).splitlines()[1:]
        return [(int(row.split(",")[0]), row.split(",")[1]) for row in rows]

    def _shown(self, offer: Offer) -> dict[str, int]:
        shown = self.stack.said("campaign", "show", str(offer.campaign_id))
        assert shown["stock_left_by"] == "gate", shown
        fields = ("issued", "under_review", "cancelled", "stock_left")
        return {field: shown[field] for field in fields}

    def _counted(self, codes: Iterable[str]) -> dict[str, int]:
        return dict(Counter(codes).most_common())
