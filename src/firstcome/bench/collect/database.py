"""What PostgreSQL says of itself: sessions, commits, lock waits."""

from firstcome import postgres
from firstcome.bench.collect.collector import Rates, Values
from firstcome.settings import PostgresSettings

_QUERIES = postgres.queries("bench")
_LOOKING = postgres.Timeouts(statement_seconds=2, transaction_seconds=4)


class Looker:
    """One session for reading that is opened anew after a failure; each statement on its own."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._session: postgres.Connection | None = None

    def rows(self, query: str, **arguments: object) -> list[postgres.Row]:
        """Return the rows of one of sql/bench.sql. Raises DatabaseUnavailable."""
        if self._session is None:
            self._session = postgres.connect(
                self._settings, name="firstcome-bench", timeouts=_LOOKING
            )
            self._session.autocommit = True
        try:
            with postgres.translated():
                return self._session.execute(_QUERIES[query], arguments).fetchall()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the session. Idempotent."""
        if self._session is not None:
            self._session.close()
            self._session = None


class Database:
    """The server's own accounts."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._looker = Looker(settings)
        self._rates = Rates()

    def read(self) -> Values:
        """Look once. Raises DatabaseUnavailable."""
        commits, rollbacks, deadlocks, sessions_max = self._looker.rows("counters")[0]
        sessions = self._looker.rows("sessions")
        values: Values = {
            "postgres_connections": {state: float(count) for state, count, _ in sessions},
            "postgres_connections_max": {"": float(sessions_max)},
            "postgres_lock_waits": {"": float(sum(waiting for _, _, waiting in sessions))},
            "postgres_deadlocks_total": {"": float(deadlocks)},
            "events_waiting": {"": float(self._looker.rows("events_waiting")[0][0])},
        }
        counts = {"commits": float(commits), "rollbacks": float(rollbacks)}
        for name, rate in self._rates.since_last(counts).items():
            values[f"postgres_{name}_per_second"] = {"": rate}
        return values

    def close(self) -> None:
        """End the session."""
        self._looker.close()
