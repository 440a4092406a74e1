"""What must never happen, counted from rows: lost, moved, doubled, oversold. Pure.

For both generators, so that a figure means the same whoever asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from firstcome.bench.truth import Row
from firstcome.model import Status


class Wrongs(NamedTuple):
    """Counts of users, and of rows."""

    lost: int  # promised a coupon, and without an ISSUED row
    moved: int  # with one, but at another position than was told
    doubled: int  # second rows of a user in a campaign
    oversold: int  # rows beyond the stock

    @property
    def told(self) -> list[str]:
        """Return a sentence for each that is not zero."""
        sentences = {
            "everybody who was told so has a coupon, at that position": self.lost + self.moved,
            "nobody has two": self.doubled,
            "no more than the stock": self.oversold,
        }
        return [sentence for sentence, count in sentences.items() if count]


def wrongs(
    promises: Iterable[tuple[int, str, int]], rows: Mapping[int, Sequence[Row]], stock: int
) -> Wrongs:
    """Count them; a promise is (campaign, user, position), `rows` are by campaign."""
    live = {
        campaign: [row for row in each if row.status != Status.CANCELLED]
        for campaign, each in rows.items()
    }
    places = {
        (campaign, row.user_id, row.position)
        for campaign, each in live.items()
        for row in each
        if row.status == Status.ISSUED
    }
    holders = {(campaign, user) for campaign, user, _ in places}
    told = set(promises)
    lost = sum((campaign, user) not in holders for campaign, user, _ in told)
    return Wrongs(
        lost=lost,
        moved=len(told - places) - lost,
        doubled=sum(len(each) - len({row.user_id for row in each}) for each in live.values()),
        oversold=sum(max(0, len(each) - stock) for each in live.values()),
    )
