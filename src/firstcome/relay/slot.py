"""The replication slot of a relay: how it is, and whether it can be read.

Beside the path: write-ahead log -> slot -> [relay.slot] looks at it -> relay, which reads it

A slot keeps the write-ahead log from the moment it was made. One that is gone, or that has lost its
part of it, is never made anew by a relay: what was committed in between would be missing in
silence. A table remembers which slots were made, so that a first start can be told from a loss.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from firstcome import postgres
from firstcome.errors import SlotUnusable

_QUERIES = postgres.queries("slots")

Mode = Literal["wal", "debezium"]
EVENTS, OUTBOX = "firstcome_events", "firstcome_outbox"
PUBLICATIONS: dict[Mode, tuple[str, ...]] = {"wal": (EVENTS, OUTBOX), "debezium": (EVENTS,)}


class State(StrEnum):
    """How a slot is."""

    NEVER_MADE = "never made"
    READY = "ready"
    IN_USE = "in use"
    GONE = "gone"  # it was made, and is not there
    LOST = "lost"  # it is there, and the write-ahead log that it needs is not
    FOREIGN = "foreign"  # of another database, or not made for us
    UNPUBLISHED = "unpublished"  # a publication is missing, or is not as it should be


class Server(NamedTuple):
    """What a slot needs of the server."""

    wal_level: str
    keep_bytes: int  # max_slot_wal_keep_size; -1: no bound
    version: int


class Standby(NamedTuple):
    """A slot that synchronized_standby_slots names."""

    slot: str
    is_usable: bool  # it is there, a standby's, and not lost
    is_read: bool


class SlotStatus(NamedTuple):
    """A slot as the server has it; sizes are bytes, None where the server does not tell."""

    slot: str
    mode: Mode
    state: State
    reason: str  # what is wrong; empty when nothing is
    made_at: datetime | None
    active_pid: int | None
    confirmed: str | None
    failover: bool | None
    retained_bytes: int | None
    left_bytes: int | None

    @property
    def exists(self) -> bool:
        """Whether the server has a slot of that name."""
        return self.state not in (State.NEVER_MADE, State.GONE)

    @property
    def usable(self) -> bool:
        """Whether a relay may read it, now or when another one has ended."""
        return self.state in (State.READY, State.IN_USE)


class _Row(NamedTuple):
    """The answer of `slot` in sql/slots.sql."""

    made_at: datetime | None
    database: str | None
    ours: bool | None
    active_pid: int | None
    wal_status: str | None
    invalidation: str | None
    confirmed: str | None
    failover: bool | None
    retained_bytes: int | None
    left_bytes: int | None


def look(connection: postgres.Connection, slot: str, mode: Mode) -> SlotStatus:
    """Return how a slot is, its publications included. Within the caller's transaction."""
    found = connection.execute(_QUERIES["slot"], {"slot": slot}).fetchone()
    assert found is not None  # noqa: S101 - the statement asks for one slot
    row = _Row(*found)
    state, wrong = _judged(row, missing(connection, mode))
    return SlotStatus(
        slot=slot,
        mode=mode,
        state=state,
        reason=f"replication slot {slot} {wrong}" if wrong else "",
        made_at=row.made_at,
        active_pid=row.active_pid,
        confirmed=row.confirmed,
        failover=row.failover,
        retained_bytes=row.retained_bytes,
        left_bytes=row.left_bytes,
    )


def usable(status: SlotStatus) -> SlotStatus:
    """Return the status of a slot that can be read. Raises SlotUnusable."""
    if not status.usable:
        raise SlotUnusable(f"{status.reason}: {advice(status)}")
    return status


def advice(status: SlotStatus) -> str:
    """Return what to do about a slot that cannot be read."""
    if status.state is State.FOREIGN:
        return "set relay.slot to another name"
    chosen = "" if status.mode == "wal" else f" --mode {status.mode}"
    return f"run `firstcome relay prepare{chosen}`"


def made(connection: postgres.Connection) -> list[tuple[str, Mode]]:
    """Return every slot that was made, with the mode that it is for."""
    return [(name, mode) for name, mode in connection.execute(_QUERIES["made"])]


def missing(connection: postgres.Connection, mode: Mode) -> list[str]:
    """Return the publications of a mode that are not there, or not as they should be."""
    there = {name for (name,) in connection.execute(_QUERIES["publications"])}
    return [name for name in PUBLICATIONS[mode] if name not in there]


def server(connection: postgres.Connection) -> Server:
    """Return what the server allows."""
    return Server(*(connection.execute(_QUERIES["server"]).fetchone() or ("", -1, 0)))


def standbys(connection: postgres.Connection) -> list[Standby]:
    """Return whom a slot with failover waits for: none of them must stay behind it."""
    return [Standby(*row) for row in connection.execute(_QUERIES["standbys"])]


def _judged(row: _Row, unpublished: list[str]) -> tuple[State, str]:
    if row.database is None and row.made_at is None:
        return State.NEVER_MADE, "was never made"
    if row.database is None:
        return State.GONE, f"was made on {row.made_at:%F} and is gone"
    if not row.ours:
        return State.FOREIGN, f"is of database {row.database}, or was made for another program"
    if row.wal_status == "lost" or row.invalidation:
        return State.LOST, f"is lost ({row.invalidation or 'wal_removed'})"
    if unpublished:
        named = ", ".join(unpublished)
        return State.UNPUBLISHED, f"has no publication {named}, or not as it should be"
    return State.READY if row.active_pid is None else State.IN_USE, ""
