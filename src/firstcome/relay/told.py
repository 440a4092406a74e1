"""What was published before a stream began: it comes again, and need not be told again.

Beside the path: write-ahead log -> relay.following asks [relay.told] -> eventlog.emitter

A stream begins at the position that was confirmed last, which may lie well before the last event
that the brokers have acknowledged. Repeats are harmless; this spares most of them, for the price
of one lookup an event until the stream has caught up.
"""

from bisect import bisect_right
from collections.abc import Callable

from firstcome.relay.outbox import OutboxRow, Range


class Told:
    """Reads a campaign when it is first asked about it."""

    def __init__(self, load: Callable[[int], list[Range]], end: int) -> None:
        """`load`: a campaign's published positions. `end`: of the stream, when they were read."""
        self.end = end
        self._load = load
        self._campaigns: dict[int, tuple[list[int], list[int]]] = {}

    def has(self, campaign_id: int, position: int) -> bool:
        """Whether the event of a position was acknowledged."""
        return self.covers(Range(campaign_id, position, position + 1))

    def has_all(self, row: OutboxRow) -> bool:
        """Whether a row of the outbox is done with: it ends together with its last event's note."""
        return all(map(self.covers, row.ranges))

    def covers(self, asked: Range) -> bool:
        """Whether the events of all these positions were acknowledged."""
        firsts, ends = self._campaigns.get(asked.campaign_id) or self._read(asked.campaign_id)
        at = bisect_right(firsts, asked.first) - 1
        return at >= 0 and asked.end <= ends[at]

    def _read(self, campaign_id: int) -> tuple[list[int], list[int]]:
        ranges = self._load(campaign_id)
        found = [each.first for each in ranges], [each.end for each in ranges]
        self._campaigns[campaign_id] = found
        return found
