"""The changes that the autoscaler has made, kept in the audit table: the console shows them.

Only changes are kept: each look is in the log and in the metrics. On Kubernetes KEDA's own events
say the same (`kubectl describe scaledobject`).
"""

import json
from collections.abc import Callable
from contextlib import closing

from firstcome import postgres
from firstcome.autoscaling.decision import Decision

_QUERIES = postgres.queries("scaling")


class History:
    """Blocking; a session for each call, so any thread may call. Raises DatabaseUnavailable."""

    def __init__(self, connect: Callable[[], postgres.Connection]) -> None:
        self._connect = connect

    def note(self, decision: Decision) -> None:
        """Keep one change."""
        detail = json.dumps(decision._asdict())
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            connection.execute(_QUERIES["note"], {"detail": detail})
