"""One fault from end to end: a crowd comes, something breaks and heals, everybody is judged.

The crowd wants two campaigns: a large one that never runs out, where order and promises show,
and a small one that is sold out about when the fault hits, where places leak or double.
"""

import time
from collections import Counter
from collections.abc import Callable
from random import Random
from urllib.parse import urlsplit

from firstcome.bench.stack import RunningStack
from firstcome.drill.checker import Checker, Ended
from firstcome.drill.eventually import eventually
from firstcome.drill.history import CLAIM, TIMED_OUT, Heard, Offer
from firstcome.drill.judge import Judge
from firstcome.drill.processes import Processes
from firstcome.drill.traffic import Traffic
from firstcome.errors import FirstcomeError
from firstcome.model import Engine

RATE = 320.0  # visitors a second
ACCEPTED_PER_SECOND_MIN = 100
LARGE, SMALL = 50_000, 250


class LawsBroken(FirstcomeError):
    """At least one law did not hold; the message has the seed, the faults and every finding."""


class Ordeal:
    """A stack, a seed, and what became of the crowd."""

    def __init__(
        self,
        stack: RunningStack,
        seed: int,
        say: Callable[[str], None] = print,
        *,
        large: int = LARGE,
        engine: Engine = Engine.KAFKA,
        excused: Callable[[Heard], bool] = lambda _: False,
    ) -> None:
        """Make both campaigns. The seed is said, to repeat a run.

        `excused`: of which requests the fault itself explains that they had no answer.
        """
        say(f"seed {seed}")
        self.stack = stack
        self.seed = seed
        self.processes = Processes(stack, say)
        self.offers = [
            Offer(stack.create(large, "--engine", engine, name="large"), large, 0.75),
            Offer(stack.create(SMALL, "--engine", engine, name="small"), SMALL, 0.25),
        ]
        self.heard: list[Heard] = []
        self.ended: list[Ended] = []
        self._say = say
        self._excused = excused
        self._traffic: Traffic | None = None

    def accepted_now(self) -> int:
        """Return how many claims were promised a coupon within the last second."""
        return self.accepted_since(time.monotonic() - 1)

    def accepted_since(self, when: float) -> int:
        """Return how many claims were promised a coupon since a monotonic time."""
        return self._traffic.accepted_since(when) if self._traffic else 0

    def undergo(self, fault: Callable[[Processes], None], final_within: float) -> None:
        """Let the crowd come, break something, and judge. Raises LawsBroken, NotSeen."""
        address = urlsplit(self.stack.urls["api"])
        judge = Judge(self.stack, self.offers)
        with Traffic(
            (address.hostname or "", address.port or 0),
            self.stack.identify,
            self.offers,
            self.seed,
            RATE,
            forgeries=self.stack.forgeries(),
        ) as traffic:
            self.heard, self._traffic = traffic.heard, traffic
            self._flows(traffic, after=Random(self.seed).randint(100, 400))
            fault(self.processes)
            healed = time.monotonic()
            # Some that were accepted just before the fault would not do.
            self._flows(traffic, after=ACCEPTED_PER_SECOND_MIN)
            traffic.stop()
            judge.settle(traffic, healed + final_within)
            self._say(f"everything final {time.monotonic() - healed:.1f} s after the fault")
            judge.sell_out(traffic, self.offers[1])
            judge.settle(traffic, time.monotonic() + final_within)
            judge.published(final_within)
        self._conclude(judge)

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

    def _conclude(self, judge: Judge) -> None:
        self.ended = judge.ended()
        codes = Counter(heard.code for heard in self.heard if heard.act == CLAIM)
        self._say(f"claims: {dict(codes.most_common())}")
        found = Checker(self.heard, self.ended).violations()
        late = [h for h in self.heard if h.code == TIMED_OUT and not self._excused(h)]
        found += [f"no answer: {heard}" for heard in late[:5]]
        found += self.processes.unexplained()
        found += judge.verified()
        small = self.ended[1]
        if len(small.winners) + small.shown["under_review"] != SMALL:
            found.append(f"the small campaign is not sold out: {small.shown}")
        if found:
            evidence = "; ".join(self.processes.evidence)
            raise LawsBroken(f"seed {self.seed} ({evidence}):\n" + "\n".join(found))
