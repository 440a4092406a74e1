"""The changes that the autoscaler has made, kept in the audit table for people.

Only changes are kept: each look is in the log and in the metrics. On Kubernetes KEDA's own events
say the same (`kubectl describe scaledobject`).
"""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import NamedTuple

from firstcome import postgres
from firstcome.autoscaling.decision import Decision, Kind

_QUERIES = postgres.queries("scaling")


class Change(NamedTuple):
    """A decision that has changed the number of recorders, and when."""

    at: datetime
    decision: Decision


class History:
    """Blocking; a session for each call, so any thread may call. All raise DatabaseUnavailable."""

    def __init__(self, connect: Callable[[], postgres.Connection]) -> None:
        self._connect = connect

    def note(self, decision: Decision) -> None:
        """Keep one change."""
        detail = json.dumps(decision._asdict())
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            connection.execute(_QUERIES["note"], {"detail": detail})

    def latest(self, changes: int = 20) -> list[Change]:
        """Return the last changes, newest first."""
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            rows = connection.execute(_QUERIES["latest"], {"rows": changes}).fetchall()
        return [
            Change(at, Decision(**detail | {"kind": Kind(detail["kind"])})) for at, detail in rows
        ]
