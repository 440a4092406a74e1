"""The gate's memory of what it admitted: one entry per batch, until all of it is settled.

Written by admit.lua in the same step as the admission, read by the sweeper and
the rebuild. An entry is deleted only when the settled bits prove that each of
its positions has a row.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from firstcome.errors import GateUnavailable
from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId

RECORDERS = "recorders"  # the group of everybody who records a journal
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


class JournalGroup:
    """One campaign's journal in one epoch, read by the recorders as a group.

    Redis gives every entry to one member and remembers it until it is acknowledged; what a dead
    member had is claimed by another. The group dies with the epoch's keys.
    """

    def __init__(
        self, session: GateSession, campaign_id: CampaignId, epoch: int, member: str
    ) -> None:
        self._session = session
        self._journal = keys.journal(campaign_id, epoch)
        self._member = member

    def read(self, entries_max: int) -> list[JournalEntry]:
        """Return entries that nobody was given yet, oldest first. Raises GateUnavailable."""
        names = ("GROUP", RECORDERS, self._member, "COUNT", entries_max)
        command = ("XREADGROUP", *names, "STREAMS", self._journal, ">")
        (reply,) = self._session.pipeline([command])
        if isinstance(reply, Exception):
            self._found_group(reply)
            return []
        return _entries(_pairs(reply)[0][1]) if reply else []

    def read_abandoned(self, idle_seconds: float, entries_max: int) -> list[JournalEntry]:
        """Return entries that another member had, and left for so long. Raises GateUnavailable."""
        idle_ms = round(idle_seconds * 1000)
        names = (self._journal, RECORDERS, self._member, idle_ms, "0-0", "COUNT", entries_max)
        (reply,) = self._session.pipeline([("XAUTOCLAIM", *names)])
        if isinstance(reply, Exception):
            self._found_group(reply)
            return []
        assert isinstance(reply, list)  # noqa: S101 - Redis' own form
        return _entries(reply[1])

    def acknowledge(self, entries: Sequence[JournalEntry]) -> None:
        """Say that these have rows; nobody is given them again. Raises GateUnavailable."""
        ids = [f"{entry.first_position}-0" for entry in entries]
        self._session.call("XACK", self._journal, RECORDERS, *ids)

    def _found_group(self, refusal: Exception) -> None:
        """Make the group, from the journal's beginning, once there is a journal."""
        if not str(refusal).startswith("NOGROUP"):
            raise GateUnavailable(f"Redis refused to read a journal: {refusal}", certain=True)
        # Without MKSTREAM: it would leave a key behind of an epoch that has just ended.
        self._session.pipeline([("XGROUP", "CREATE", self._journal, RECORDERS, "0")])


def _pairs(reply: object) -> list[tuple[bytes, list[object]]]:
    """Return (stream, entries), in either version of Redis' protocol."""
    pairs: Any = reply.items() if isinstance(reply, dict) else reply
    return [(name, entries) for name, entries in pairs]


def _entries(found: Any) -> list[JournalEntry]:
    # An entry that was deleted meanwhile comes without fields.
    return [_entry(entry_id, fields) for entry_id, fields in found if fields]


def _entry(entry_id: bytes, fields: list[bytes]) -> JournalEntry:
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    return JournalEntry(
        int(entry_id.split(b"-")[0]),
        values[b"u"].decode().split(" "),
        [int(attempt) for attempt in values[b"a"].split()],
        float(values[b"t"]),
    )
