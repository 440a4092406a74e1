"""When the crowd asks: an open-loop schedule.

Every request has its time before the first one is sent, and keeps it whatever
comes back; latency is counted from that time. A generator that waits for
answers would ask less of a slow system, and so hide what its users feel.
"""

import math
from array import array
from typing import Literal

import msgspec


class Arrivals(msgspec.Struct, frozen=True):
    """A shape: a constant rate, a rate that grows evenly, or everybody at one instant.

    Rates are requests a second, over all campaigns together.
    """

    shape: Literal["rate", "ramp", "burst"]
    rate_first: float = 0.0
    rate_last: float = 0.0

    def seconds(self, requests: int) -> float:
        """Return how long it takes until the last request is due."""
        if self.shape == "burst":
            return 0.0
        return 2 * requests / (self.rate_first + self.rate_last)

    def requests(self, seconds: float) -> int:
        """Return how many requests are due within a time."""
        return int(seconds * (self.rate_first + self.rate_last) / 2)

    def times(self, order: "array[int]") -> "array[float]":
        """Return when each request is due, in seconds after the start.

        Two requests of one user, side by side in `order`, are due together.
        """
        times = array("d", bytes(8 * len(order)))
        if self.shape == "burst":
            return times
        growth = (self.rate_last - self.rate_first) / max(self.seconds(len(order)), 1e-9)
        before, at = -1, 0.0
        for index, user in enumerate(order):
            if user != before:
                at = self._time_of(index, growth)
            times[index] = at
            before = user
        return times

    def _time_of(self, index: int, growth: float) -> float:
        """Return when `index` requests have come: the root of first*t + growth*t*t/2 = index."""
        root = math.sqrt(self.rate_first**2 + 2 * growth * index)
        return 2 * index / (self.rate_first + root) if index else 0.0


def arrivals_of(rate: float | None, ramp: str | None, burst: bool) -> Arrivals:
    """Return the shape that the command line asks for. Raises ValueError with what to write."""
    if (rate is not None) + (ramp is not None) + burst > 1:
        raise ValueError("give one of --rate, --ramp and --burst")
    if burst:
        return Arrivals("burst")
    if ramp is None:
        rate = 10_000.0 if rate is None else rate
        first = last = rate
    else:
        try:
            first, last = (float(part) for part in ramp.split(":"))
        except ValueError:
            raise ValueError(f"--ramp {ramp}: write two rates, as in --ramp 1000:20000") from None
    if min(first, last) < 0 or max(first, last) <= 0:
        raise ValueError("a rate must be above 0 requests a second")
    return Arrivals("rate" if ramp is None else "ramp", first, last)
