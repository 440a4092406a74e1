"""How far apart the polling relay's looks begin: further, the more there is to tell.

Beside the path: relay.polling asks it after each look. A look costs the brokers a request for
each partition and the database a transaction, whatever it finds. While coupons are issued by the
thousand a second, fewer and larger looks take less from the drop beside them; too large ones take
it all at once, and answers wait meanwhile.
"""

# Below it everybody is told at once; above, somebody holds a drop.
BUSY_EVENTS_PER_SECOND = 5_000
_FIRST_STEP_SECONDS = 0.02  # from no interval at all


class Pace:
    """Between a shortest and a longest interval, doubled or halved by each look."""

    def __init__(self, shortest_seconds: float, longest_seconds: float) -> None:
        self._shortest = shortest_seconds
        self._longest = max(shortest_seconds, longest_seconds)
        self.seconds = shortest_seconds

    def found(self, events: int, seconds: float) -> None:
        """Take note of a look: so many events had gathered in so many seconds."""
        if events > BUSY_EVENTS_PER_SECOND * seconds:
            self.seconds = min(self._longest, max(2 * self.seconds, _FIRST_STEP_SECONDS))
        else:
            self.seconds = max(self._shortest, self.seconds / 2)
