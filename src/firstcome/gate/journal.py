"""The gate's memory of what it admitted: one entry per batch, until all of it is settled.

Written by admit.lua in the same step as the admission, read by the sweeper and
the rebuild. An entry is deleted only when the settled bits prove that each of
its positions has a row.
"""

from typing import NamedTuple

from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId

TRIM_ENTRIES = 500  # looked at in one call: a few hundred microseconds of Redis' time
READ_ENTRIES = 500


class JournalEntry(NamedTuple):
    """One admitted batch: users[i] holds first_position + i; attempts: empty, or one each."""

    first_position: int
    users: list[str]
    attempts: list[int]
    requested_at: float

    @property
    def last_position(self) -> int:
        """Return the highest position of the batch."""
        return self.first_position + len(self.users) - 1


class Journal:
    """One campaign's journal in one epoch."""

    def __init__(self, session: GateSession, campaign_id: CampaignId, epoch: int) -> None:
        self._session = session
        self._epoch = epoch
        self._gate = keys.gate(campaign_id)
        self._journal = keys.journal(campaign_id, epoch)
        self._settled = keys.settled(campaign_id, epoch)

    def trim(self) -> int:
        """Delete every entry whose positions are all settled; return how many."""
        deleted, start = 0, "-"
        names = (self._gate, self._journal, self._settled)
        while start:
            reply = self._session.script("trim", names, (self._epoch, start, TRIM_ENTRIES))
            assert isinstance(reply, list)  # noqa: S101 - trim.lua's form
            deleted += reply[0]
            start = reply[1].decode()
        return deleted

    def read(self, after: int, up_to: int | None, claims_max: int) -> list[JournalEntry]:
        """Return entries, oldest first: positions above `after`, beginning at or below `up_to`.

        Stops once claims_max claims are in hand; the last entry may exceed it.
        """
        found: list[JournalEntry] = []
        claims = 0
        end = "+" if up_to is None else f"{up_to}-0"
        while claims < claims_max:
            start = f"({found[-1].first_position}-0" if found else f"{after + 1}-0"
            reply = self._session.call("XRANGE", self._journal, start, end, "COUNT", READ_ENTRIES)
            assert isinstance(reply, list)  # noqa: S101 - Redis' own form
            for entry_id, fields in reply:
                entry = _entry(entry_id, fields)
                found.append(entry)
                claims += len(entry.users)
                if claims >= claims_max:
                    return found
            if len(reply) < READ_ENTRIES:
                return found
        return found


def _entry(entry_id: bytes, fields: list[bytes]) -> JournalEntry:
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    return JournalEntry(
        int(entry_id.split(b"-")[0]),
        values[b"u"].decode().split(" "),
        [int(attempt) for attempt in values[b"a"].split()],
        float(values[b"t"]),
    )
