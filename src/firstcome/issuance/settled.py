"""What a transaction has made certain: per epoch of a campaign, ranges of settled positions.

The recorder fills it, the gate's settled bits are written from it. It holds every
position that has a row now, replays included, so that a status that was never
written is written the next time its record passes.
"""

from collections.abc import Iterable

from firstcome.model import SETTLED, CampaignId, Status

Ranges = list[tuple[int, int, int]]  # first position, last position, index into model.SETTLED

_CODE = {status: code for code, status in enumerate(SETTLED)}


class Settled:
    """Ranges of positions that have a row, gathered out of order."""

    def __init__(self) -> None:
        self._ranges: dict[tuple[CampaignId, int], Ranges] = {}

    def add(
        self, campaign_id: CampaignId, epoch: int, ranges: Iterable[tuple[int, int, int]]
    ) -> None:
        """Add ranges as they are; they may overlap if they agree."""
        self._ranges.setdefault((campaign_id, epoch), []).extend(ranges)

    def add_position(
        self, campaign_id: CampaignId, epoch: int, position: int, status: Status
    ) -> None:
        """Add one position."""
        self.add(campaign_id, epoch, [(position, position, _CODE[status])])

    def merge(self, other: "Settled") -> None:
        """Add everything that another one holds."""
        for (campaign_id, epoch), ranges in other._ranges.items():
            self.add(campaign_id, epoch, ranges)

    def coalesced(self) -> dict[tuple[CampaignId, int], Ranges]:
        """Return the ranges of each (campaign, epoch), ascending, neighbours joined."""
        return {key: _joined(ranges) for key, ranges in self._ranges.items() if ranges}


def _joined(ranges: Ranges) -> Ranges:
    ranges = sorted(ranges)
    joined = [ranges[0]]
    for first, last, code in ranges[1:]:
        first_before, last_before, code_before = joined[-1]
        if code == code_before and first <= last_before + 1:
            joined[-1] = (first_before, max(last, last_before), code)
        else:
            joined.append((first, last, code))
    return joined
