"""What an operator does before a relay can follow the write-ahead log: slot and publications.

Beside the path: `firstcome relay prepare` -> [relay.preparation] -> slot, which a relay reads

Slots keep the write-ahead log for ever if nobody reads them, so they come and go by a command only.
A slot made anew begins with what is committed from then on. All that came before and was not
published stands in the outbox, and the relay that begins on the new slot publishes it from there.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from firstcome import postgres
from firstcome.errors import DatabaseUnavailable, Refused
from firstcome.relay import slot as slots
from firstcome.relay.slot import EVENTS, PUBLICATIONS, Mode, SlotStatus, State
from firstcome.settings import RelaySettings

_QUERIES = postgres.queries("slots")
_LOCK = 0x66636F736C6F  # any number that nobody else locks
# Servers before 18 do not know the option, and publish no generated column.
_GENERATED = ", publish_generated_columns = 'stored'"
_GENERATED_SINCE = 18
_NO_RIGHT = "42501"


class Prepared(NamedTuple):
    """What `prepare` did."""

    slot: str
    mode: Mode
    created: bool
    replaced: str  # what was wrong with the slot before; empty: there was none
    publications_made: list[str]


class Preparation:
    """Commands on the slot of one mode. All raise DatabaseUnavailable, and Refused."""

    def __init__(
        self, settings: RelaySettings, mode: Mode, connect: Callable[[], postgres.Connection]
    ) -> None:
        """`connect`: its sessions wait long enough for other transactions to end."""
        self.mode = mode
        self.slot = settings.slot_of(mode)
        self._connect = connect

    def status(self) -> SlotStatus:
        """Return how the slot is."""
        with self._session() as connection:
            return slots.look(connection, self.slot, self.mode)

    def prepare(self) -> Prepared:
        """Make what is missing, and replace a slot that is of no use any more. Idempotent."""
        with self._alone() as connection:
            status = slots.look(connection, self.slot, self.mode)
            return self._prepare(connection, status)

    def prepare_first(self) -> Prepared:
        """Make slot and publications if the slot was never made; for starting a stack. Idempotent.

        Raises SlotUnusable for a slot that was made and is of no use: an operator has to know.
        """
        with self._alone() as connection:
            status = slots.look(connection, self.slot, self.mode)
            if status.state is not State.NEVER_MADE:
                slots.usable(status)
            return self._prepare(connection, status)

    def drop(self) -> bool:
        """Drop the slot, and the publications that no other slot of ours needs.

        Returns whether there was one. What the outbox lists stays, for whichever relay comes next.
        """
        with self._alone() as connection:
            status = slots.look(connection, self.slot, self.mode)
            self._drop(connection, status)
            connection.execute(_QUERIES["forget"], {"slot": self.slot})
            others = slots.made(connection)
            needed = {name for _, mode in others for name in PUBLICATIONS[mode]}
            for name in PUBLICATIONS[self.mode]:
                if name not in needed:
                    connection.execute(_QUERIES[f"un{_publish(name)}"])
            if EVENTS not in needed:
                connection.execute(_QUERIES["unidentify"])
            return status.exists

    def _prepare(self, connection: postgres.Connection, status: SlotStatus) -> Prepared:
        make = not status.usable
        if make:
            self._check(connection)
            self._drop(connection, status)
        # A slot decodes with the tables and publications of that moment: they come before it.
        unpublished = slots.missing(connection, self.mode)
        known = slots.server(connection).version >= _GENERATED_SINCE
        if EVENTS in unpublished:
            connection.execute(_QUERIES["identify"])
        for name in unpublished:
            statement = _QUERIES[_publish(name)]
            connection.execute(_QUERIES[f"un{_publish(name)}"])
            connection.execute(statement if known else statement.replace(_GENERATED, ""))
        if make:
            self._create(connection)
        if make or status.made_at is None:
            connection.execute(_QUERIES["remember"], {"slot": self.slot, "mode": self.mode})
        replaced = status.reason if status.exists or status.made_at else ""
        return Prepared(self.slot, self.mode, make, replaced, unpublished)

    def _check(self, connection: postgres.Connection) -> None:
        level = slots.server(connection).wal_level
        if level != "logical":
            raise Refused(
                f"wal_level is {level}, and a slot needs more of the write-ahead log: "
                "ALTER SYSTEM SET wal_level = 'logical', restart PostgreSQL, and give this "
                "command again; nothing was changed"
            )

    def _create(self, connection: postgres.Connection) -> None:
        try:
            with postgres.translated():
                connection.execute(_QUERIES["create"], {"slot": self.slot})
        except DatabaseUnavailable as error:
            if error.sqlstate != _NO_RIGHT:
                raise
            raise Refused(
                f"the role of postgres.url may make no replication slot ({error}): "
                "ALTER ROLE ... REPLICATION, and give this command again"
            ) from error

    def _drop(self, connection: postgres.Connection, status: SlotStatus) -> None:
        if status.state is State.FOREIGN:
            raise Refused(f"{status.reason}: set relay.slot to another name; nothing was changed")
        if status.active_pid is not None:
            raise Refused(
                f"replication slot {self.slot} is in use (by the server's process "
                f"{status.active_pid}): stop the relay that reads it, and give this command again"
            )
        if status.exists:
            connection.execute(_QUERIES["drop"], {"slot": self.slot})

    @contextmanager
    def _alone(self) -> Iterator[postgres.Connection]:
        """Lend a session while no other command is at work."""
        with self._session() as connection:
            connection.execute(_QUERIES["lock"], {"lock": _LOCK})
            yield connection

    @contextmanager
    def _session(self) -> Iterator[postgres.Connection]:
        with closing(self._connect()) as connection, postgres.translated():
            # A slot cannot be made in a transaction that has written: each statement is its own.
            connection.autocommit = True
            yield connection


def _publish(name: str) -> str:
    return "publish_events" if name == EVENTS else "publish_outbox"
