"""One of three brokers is gone, and nobody who claims may suffer from it for long.

The others hold a copy of each record, so the log goes on without it: leaders move once the broker's
session is over, and claims are accepted while it is away. Nothing else breaks meanwhile, or it
would be unknown what held them up.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from random import Random

from firstcome.drill.eventually import NotSeen, eventually
from firstcome.drill.faults import Fault, Misbehaved, Move

# The broker's session is 3 s; until it is over, claims may go to a leader that is no more.
AWAY_SECONDS_MIN = 8.0
FLOW_SECONDS_MAX = 30.0
ACCEPTED_PER_SECOND_MIN = 100


class OneOfSeveral:
    """A fault of one broker that lasts until claims are seen to go on without it."""

    def __init__(self, fault: Fault, accepted_since: Callable[[float], int]) -> None:
        """`accepted_since`: how many claims were promised a coupon since a monotonic time."""
        self._fault = fault
        self._accepted_since = accepted_since
        self._began: float | None = None

    def inject(self) -> str:
        """Break it."""
        evidence = self._fault.inject()
        self._began = time.monotonic()
        return evidence

    def heal(self) -> str:
        """Wait for claims, then end it. Raises Misbehaved when none were accepted meanwhile."""
        misbehaved: Misbehaved | None = None
        seen = ""
        try:
            if self._began is not None:
                seen = f"; {self._flowed(self._began)}"
        except Misbehaved as error:
            misbehaved = error
        try:
            healed = self._fault.heal()
        except Exception as error:
            # What misbehaved stands, however the end of the fault went.
            raise misbehaved or error from error
        if misbehaved is not None:
            raise misbehaved
        return healed + seen

    def _flowed(self, began: float) -> str:
        def accepted() -> int:
            now = time.monotonic()
            return self._accepted_since(now - 1) if now > began + AWAY_SECONDS_MIN else 0

        try:
            seen = eventually(
                "claims are accepted by the brokers that are left",
                accepted,
                lambda count: count >= ACCEPTED_PER_SECOND_MIN,
                seconds=FLOW_SECONDS_MAX,
                every=0.2,
            )
        except NotSeen as error:
            raise Misbehaved(f"one broker of several was away: {error}") from error
        return f"{seen} claims in a second {time.monotonic() - began:.0f} s after the fault"


def survived(moves: Iterable[Move], accepted_since: Callable[[float], int]) -> Iterator[Move]:
    """Yield the same moves; those of a broker let claims go on."""
    for move in moves:
        if move.target.startswith("kafka-"):
            make = partial(_one_of_several, move, accepted_since)
            yield move._replace(make=make, is_combinable=False)
        else:
            yield move


def _one_of_several(
    move: Move, accepted_since: Callable[[float], int], chance: Random, seconds: float
) -> Fault:
    return OneOfSeveral(move.make(chance, seconds), accepted_since)
