"""How much a run must have broken and checked, to count as proof of anything.

Pure. A run that breaks no law, but hit little or was seen by few, has shown nothing.
"""

from collections.abc import Iterable
from typing import NamedTuple

from firstcome.drill.ledger import Entry


class Quota(NamedTuple):
    """The least of each; 0 asks for nothing."""

    faults: int = 0  # effective ones
    claims: int = 0  # one for each user of a campaign, however often he asked
    kinds: int = 0
    targets: int = 0  # of one kind of process or link: api-1 and api-2 are one

    def lacking(self, entry: Entry) -> list[str]:
        """Return a sentence for each that a run has not come to."""
        had = {
            "effective faults": (entry.effective, self.faults),
            "claims": (entry.claims, self.claims),
            "kinds of effective faults": (len(entry.matrix), self.kinds),
            "targets of effective faults": (len(_targets(entry)), self.targets),
        }
        return [
            f"only {seen:,} {what}, not {asked:,}"
            for what, (seen, asked) in had.items()
            if seen < asked
        ]


def _targets(entry: Entry) -> set[str]:
    return {_numberless(target.split(".")) for row in entry.matrix.values() for target in row}


def _numberless(parts: Iterable[str]) -> str:
    return ".".join(part.partition("-")[0] for part in parts)
