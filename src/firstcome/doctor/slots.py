"""PostgreSQL's replication slots, where a relay follows the write-ahead log or once has.

A slot that nobody reads keeps the write-ahead log until the disk is full or the slot is lost.
Neither loses a coupon, and the outbox still lists every event; but the first stops the server, and
the second the relay. So does a standby that is away, where the server makes the relay wait for it.
"""

from collections.abc import Iterator

from firstcome import postgres
from firstcome.doctor.finding import Finding, failure, ok, warning
from firstcome.relay import slot as slots
from firstcome.relay.slot import Mode, Server, SlotStatus, Standby, State
from firstcome.settings import RelaySettings

KEPT_SHARE_MAX = 0.5  # of max_slot_wal_keep_size


def examine(settings: RelaySettings, connection: postgres.Connection) -> Iterator[Finding]:
    """Yield what was found; nothing where no relay needs a slot and none was made."""
    needed = _needed(settings)
    with postgres.transaction(connection):
        server = slots.server(connection)
        wanted = dict(slots.made(connection))
        if needed is not None:
            wanted[settings.slot_of(needed)] = needed
        found = [slots.look(connection, name, mode) for name, mode in sorted(wanted.items())]
        standbys = slots.standbys(connection)
    if needed is not None:
        yield _wal_level(server, needed)
    if found:
        yield _bound(server)
    for status in found:
        is_needed = needed is not None and status.slot == settings.slot_of(needed)
        yield _slot(status, server) if is_needed else _left_over(status)
        if is_needed and status.failover:
            yield from map(_standby, standbys)


def _needed(settings: RelaySettings) -> Mode | None:
    return None if settings.mode == "polling" else settings.mode


def _wal_level(server: Server, mode: Mode) -> Finding:
    if server.wal_level == "logical":
        return ok("postgres wal_level", server.wal_level)
    return failure(
        "postgres wal_level",
        server.wal_level,
        f"a relay of mode {mode} cannot read the write-ahead log",
        "set wal_level to logical and restart the server, or set relay.mode to polling",
    )


def _bound(server: Server) -> Finding:
    subject = "postgres max_slot_wal_keep_size"
    if server.keep_bytes >= 0:
        return ok(subject, _mib(server.keep_bytes))
    return warning(
        subject,
        "no bound",
        "the write-ahead log that a slot keeps while its relay is away can fill the disk, and then "
        "PostgreSQL stops",
        "set max_slot_wal_keep_size to what the disk can spare",
    )


def _slot(status: SlotStatus, server: Server) -> Finding:
    subject = f"replication slot {status.slot}"
    if not status.usable:
        return failure(
            subject,
            status.reason,
            "the relay publishes nothing; every event waits in the outbox",
            slots.advice(status),
        )
    kept = status.retained_bytes or 0
    seen = f"{status.state}, keeps {_mib(kept)} of the write-ahead log"
    if server.keep_bytes > 0 and kept > KEPT_SHARE_MAX * server.keep_bytes:
        return warning(
            subject,
            f"{seen}; max_slot_wal_keep_size is {_mib(server.keep_bytes)}",
            "beyond that it is lost, and the relay stands still until an operator prepares another",
            "see why the relay is behind: `firstcome logs relay`",
        )
    if status.state is State.READY:
        meaning = "events wait in the outbox, and the write-ahead log is kept for them"
        reader = "`firstcome serve relay`" if status.mode == "wal" else "Debezium"
        return warning(subject, f"{seen}; nobody reads it", meaning, f"start {reader}")
    return ok(subject, seen)


def _standby(standby: Standby) -> Finding:
    subject = f"synchronized_standby_slots: {standby.slot}"
    if standby.is_usable and standby.is_read:
        return ok(subject, "a standby reads it")
    return failure(
        subject,
        "nobody reads it"
        if standby.is_usable
        else "there is no such slot of a standby, or it is lost",
        "the relay is told nothing that this standby does not have, so it publishes nothing; every "
        "event waits in the outbox",
        "bring the standby back, or take its slot out of synchronized_standby_slots and reload",
    )


def _left_over(status: SlotStatus) -> Finding:
    subject = f"replication slot {status.slot}"
    if not status.exists:
        return ok(subject, f"{status.state}, and relay.mode needs none")
    return warning(
        subject,
        f"keeps {_mib(status.retained_bytes or 0)} of the write-ahead log, and relay.mode does not "
        "need it",
        "it keeps all that is written from now on, until it is lost",
        f"run `firstcome relay drop --mode {status.mode}`",
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
