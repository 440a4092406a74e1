"""Issues coupons as recorder and redrive do, without the rest of the path."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import LiteralString

import psycopg

from firstcome.settings import PostgresSettings

Listed = list[tuple[int, int, int]]  # campaign, first position, the one after the last


class Issuing:
    """One session; each issue is a transaction, unless one is open."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._connection = psycopg.connect(settings.url.get_secret_value(), autocommit=True)

    def __enter__(self) -> "Issuing":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def campaign(self) -> int:
        """Return a new campaign."""
        row = self._connection.execute(
            "INSERT INTO campaigns (name, engine, stock, position_limit)"
            " VALUES ('told', 'kafka', 100000, 100000) RETURNING campaign_id"
        ).fetchone()
        assert row is not None
        return int(row[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let what is issued meanwhile be committed together."""
        with self._connection.transaction():
            yield

    def issue(
        self,
        campaign_id: int,
        first: int,
        users: Sequence[str],
        *,
        requested_at: datetime | None = None,
        status: str = "ISSUED",
        calls: bool = True,
    ) -> None:
        """Insert rows, and list what is ISSUED."""
        with self._connection.transaction():
            for position, user in enumerate(users, first):
                self._connection.execute(
                    "INSERT INTO issuances (campaign_id, position, requested_at, epoch, status,"
                    " user_id) VALUES (%s, %s, %s, 1, %s::issuance_status, %s)",
                    (campaign_id, position, requested_at, status, user),
                )
            if status == "ISSUED":
                self.announce(campaign_id, first, first + len(users), calls=calls)

    def announce(self, campaign_id: int, first: int, end: int, *, calls: bool = True) -> None:
        """List positions in one more row of the outbox, and call."""
        self._connection.execute(
            "INSERT INTO outbox (campaign_id, positions)"
            " VALUES (%s, int8multirange(int8range(%s, %s)))",
            (campaign_id, first, end),
        )
        if calls:
            self.call()

    def redrive(self, campaign_id: int, position: int) -> None:
        """Make a row under review ISSUED."""
        with self._connection.transaction():
            self._connection.execute(
                "UPDATE issuances SET status = 'ISSUED', recorded_at = now()"
                " WHERE campaign_id = %s AND position = %s AND status = 'UNDER_REVIEW'",
                (campaign_id, position),
            )
            self.announce(campaign_id, position, position + 1)

    def call(self) -> None:
        """Wake whoever listens."""
        self._connection.execute("SELECT pg_notify('firstcome_outbox', '')")

    def listened(self) -> None:
        """Return when somebody listens."""
        until = time.monotonic() + 20
        while not self._sessions("%", "LISTEN%"):
            assert time.monotonic() < until, "nobody listens"
            time.sleep(0.05)

    def terminate(self, *names: str) -> None:
        """End the sessions of these names."""
        for name in names:
            for pid in self._sessions(name, "%"):
                self._connection.execute("SELECT pg_terminate_backend(%s)", (pid,))

    def _sessions(self, name: str, query: str) -> list[int]:
        """Return the sessions of others whose name and last statement are like these."""
        found = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND application_name LIKE %s AND query LIKE %s",
            (name, query),
        )
        return [pid for (pid,) in found]

    def listed(self) -> Listed:
        """Return what waits in the outbox."""
        return self._outbox(kept=False)

    def kept(self) -> Listed:
        """Return what the outbox keeps although it is published."""
        return self._outbox(kept=True)

    def unpublish(self) -> None:
        """Take the issuances out of the publication, as a stranger may."""
        self._connection.execute("ALTER PUBLICATION firstcome_events DROP TABLE issuances")

    def unpublish_outbox(self) -> None:
        """Let rows of the outbox come without a word in the write-ahead log's stream."""
        self._connection.execute("ALTER PUBLICATION firstcome_outbox DROP TABLE outbox")

    def forget(self, campaign_id: int) -> None:
        """Lose what waits, as no relay does."""
        self._connection.execute("DELETE FROM outbox WHERE campaign_id = %s", (campaign_id,))

    def audited(self, action: str) -> list[str]:
        """Return who did this, each time."""
        found = self._connection.execute("SELECT actor FROM audit WHERE action = %s", (action,))
        return [actor for (actor,) in found]

    def published(self) -> dict[int, list[tuple[int, int]]]:
        """Return what counts as published."""
        found: dict[int, list[tuple[int, int]]] = {}
        for campaign_id, first, end in self._connection.execute(
            "SELECT campaign_id, lower(r), upper(r) FROM published, unnest(positions) AS r"
            " ORDER BY 1, 2"
        ):
            found.setdefault(campaign_id, []).append((first, end))
        return found

    def confirmed(self, slot: str) -> int:
        """Return the position of the log that a slot's reader is done with."""
        row = self._connection.execute(
            "SELECT pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint"
            " FROM pg_replication_slots WHERE slot_name = %s",
            (slot,),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def log_end(self) -> int:
        """Return where the write-ahead log ends."""
        row = self._connection.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def log_next(self) -> int:
        """Return where the next record of the write-ahead log will stand."""
        row = self._connection.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def drop_slot(self, name: str) -> None:
        """Drop a slot, if it is there; whoever reads it is cut off."""
        until = time.monotonic() + 20
        slots = "FROM pg_replication_slots WHERE slot_name = %s"
        while self._connection.execute(f"SELECT 1 {slots}", (name,)).fetchone():
            assert time.monotonic() < until, f"{name} is read again and again"
            self._connection.execute(
                f"SELECT pg_terminate_backend(active_pid) {slots} AND active",
                (name,),
            )
            with suppress(psycopg.errors.ObjectInUse, psycopg.errors.UndefinedObject):
                self._connection.execute("SELECT pg_drop_replication_slot(%s)", (name,))

    def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds."""
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, (self.listed(), self.published())
            time.sleep(0.02)

    def names(self, query: LiteralString) -> list[str]:
        """Return the first column of what a query finds."""
        return [name for name, *_ in self._connection.execute(query)]

    def execute(self, statement: str) -> None:
        """Do something else."""
        self._connection.execute(statement.encode())

    def _outbox(self, *, kept: bool) -> Listed:
        found = self._connection.execute(
            "SELECT campaign_id, lower(r), upper(r) FROM outbox, unnest(positions) AS r"
            " WHERE (published_at IS NOT NULL) = %s ORDER BY outbox_id, 2",
            (kept,),
        )
        return [(int(campaign), int(first), int(end)) for campaign, first, end in found]
