"""The campaigns of a long run: made as it goes, so that none is too large and some sell out.

Each generation is a large campaign that never runs out and a small one that does, at a moment
that the seed draws. Making one is an operator's command, tried again if the stack is just broken.
"""

import threading
from collections.abc import Callable
from random import Random

from firstcome.bench.stack import RunningStack, VerbFailed
from firstcome.drill.history import Offer
from firstcome.drill.traffic import Traffic
from firstcome.model import Engine

GENERATION_SECONDS = 120.0
RETRY_SECONDS = 2.0
LARGE_SHARE, SMALL_SHARE = 0.8, 0.2


class Shop:
    """Makes campaigns and offers them to a crowd, on a thread of its own."""

    def __init__(
        self,
        stack: RunningStack,
        seed: int,
        rate: float,
        say: Callable[[str], None],
        engine: Engine,
    ) -> None:
        self.offers: list[Offer] = []
        self._stack = stack
        self._random = Random(f"shop-{seed}")
        self._rate = rate
        self._say = say
        self._engine = engine
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def large(self) -> int:
        """The large campaign that is offered now."""
        return self.offers[-2].campaign_id

    def generation(self) -> list[Offer]:
        """Make two campaigns. Raises VerbFailed while the stack is broken."""
        visitors = self._rate * GENERATION_SECONDS
        # Room for a generation that is offered for long, because no newer one could be made.
        large = int(visitors * LARGE_SHARE * 10)
        small = self._random.randint(100, int(visitors * SMALL_SHARE))
        made = [
            Offer(self._create(large, "large"), large, LARGE_SHARE),
            Offer(self._create(small, "small"), small, SMALL_SHARE),
        ]
        self.offers += made
        return made

    def _create(self, stock: int, name: str) -> int:
        return self._stack.create(stock, "--engine", self._engine, name=name)

    def open(self, traffic: Traffic) -> None:
        """Begin to make new generations."""
        self._thread = threading.Thread(target=self._run, args=(traffic,), name="shop")
        self._thread.start()

    def close(self) -> None:
        """Make no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, traffic: Traffic) -> None:
        pause = GENERATION_SECONDS
        while not self._over.wait(pause):
            try:
                traffic.offer(self.generation(), self._stack.fresh_identities())
                pause = GENERATION_SECONDS
            except VerbFailed as error:
                self._say(f"no new campaign, trying again: {str(error).splitlines()[-1][:160]}")
                pause = RETRY_SECONDS
