"""PostgreSQL: version, durability, connections, clock, tables.

It decides, so what is wrong here is worse than elsewhere: without durability an issuance that
was answered can be gone.
"""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files

from firstcome import postgres
from firstcome.campaigns.rows import epochs_of
from firstcome.doctor import slots
from firstcome.doctor.finding import Finding, State, clock, failure, ok, wanted, warning
from firstcome.settings import Settings

VERSION_MIN = 17
CONNECTIONS_BESIDE_POOLS = 10  # recorders, sweeper, console, an operator


class Database:
    """One session. Raises DatabaseUnavailable from every method."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queries = postgres.queries("doctor")
        self._connection = postgres.connect(settings.postgres, name="firstcome-doctor")

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def examine(self) -> Iterator[Finding]:
        """Yield what was found."""
        server = {str(name): str(value) for name, value in self._read("settings")}
        yield self._version(int(server["server_version_num"]), server["server_version"])
        yield clock("postgres clock", self._skew(), self._settings.laws.clock_skew_seconds)
        yield from _durability(server)
        yield _timestamps(server)
        yield self._connections(server)
        tables = self._tables()
        yield tables
        if tables.state is State.OK:
            yield self._outbox()
            yield from slots.examine(self._settings.relay, self._connection)

    def _outbox(self) -> Finding:
        """Events that nobody publishes cost the drop nothing, and others everything."""
        ((events, seconds),) = self._read("outbox")
        seen = f"{events:,} events wait, the oldest for {seconds:.0f} s"
        if seconds <= self._settings.relay.overdue_seconds:
            return ok("outbox", seen)
        return warning(
            "outbox",
            seen,
            "other systems do not hear of issued coupons; nothing is lost, all of it is told later",
            "look at `firstcome status` and `firstcome logs relay`; "
            "`firstcome events check` says what is missing",
        )

    def epochs(self) -> dict[int, int]:
        """Return the epoch of each campaign that has a gate; empty before the first migration."""
        if not self._migrated():
            return {}
        found = epochs_of(self._connection)
        return {int(campaign_id): epoch for campaign_id, epoch in found.items()}

    def _read(self, query: str) -> list[postgres.Row]:
        with closing(self._connection.cursor()) as cursor, postgres.transaction(self._connection):
            return cursor.execute(self._queries[query]).fetchall()

    def _version(self, number: int, version: str) -> Finding:
        if number // 10_000 < VERSION_MIN:
            meaning = "it has no transaction_timeout: a stopped recorder holds its locks for ever"
            return failure("postgres version", version, meaning, f"use PostgreSQL >= {VERSION_MIN}")
        return ok("postgres version", version)

    def _skew(self) -> float:
        before = time.time()
        ((theirs,),) = self._read("clock")
        return float(theirs) - (before + time.time()) / 2

    def _connections(self, server: dict[str, str]) -> Finding:
        most = int(server["max_connections"]) - int(server["superuser_reserved_connections"])
        ((used,),) = self._read("connections")
        needed = self._settings.postgres.pool_connections_max + CONNECTIONS_BESIDE_POOLS
        seen = f"{used} of {most} used; one api process and its companions take up to {needed}"
        if most - used < needed:
            meaning = "a process that finds no connection cannot work"
            advice = "raise max_connections, or lower postgres.pool_connections_max"
            return warning("postgres connections", seen, meaning, advice)
        return ok("postgres connections", seen)

    def _migrated(self) -> bool:
        return self._read("has_revision") == [(True,)]

    def _tables(self) -> Finding:
        newest = newest_revision()
        found = self._read("revision")[0][0] if self._migrated() else "none"
        if found == newest:
            return ok("postgres tables", f"revision {found}")
        meaning = "processes of this version do not find the tables that they need"
        if found != "none" and str(found) > newest:
            advice = "use the version of firstcome that made them, or a newer one"
        else:
            advice = "run `firstcome migrate`"
        seen = f"revision {found}; this version needs {newest}"
        return failure("postgres tables", seen, meaning, advice)


def newest_revision() -> str:
    """Return the last migration of this version of firstcome."""
    names = [file.name for file in files("firstcome.migrations").joinpath("versions").iterdir()]
    return max(match[1] for name in names if (match := re.fullmatch(r"v(\d{4})_\w+\.py", name)))


def _durability(server: dict[str, str]) -> Iterator[Finding]:
    for name, accepted in (
        ("fsync", ("on",)),
        ("full_page_writes", ("on",)),
        ("synchronous_commit", ("on", "remote_apply", "remote_write", "local")),
    ):
        problem = failure(
            f"postgres {name}",
            server[name],
            "a crash of the server can lose or damage issuances that were answered",
            f"set {name} to on",
        )
        yield wanted(f"postgres {name}", server[name], accepted, problem)


def _timestamps(server: dict[str, str]) -> Finding:
    name = "track_commit_timestamp"
    problem = warning(
        f"postgres {name}",
        server[name],
        "the age of a row is known from the row alone",
        f"set {name} to on and restart the server",
    )
    return wanted(f"postgres {name}", server[name], ("on",), problem)
