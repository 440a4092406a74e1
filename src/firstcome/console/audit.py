"""What operators did, as the audit table has it.

Changes of campaigns and letters are noted by those who make them, in the same transaction.
"""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple

from firstcome import postgres
from firstcome.model import CampaignId

_QUERIES = postgres.queries("console")
ROWS = 20


class Deed(NamedTuple):
    """One row of the audit table."""

    at: datetime
    actor: str
    action: str
    detail: dict[str, Any]
    campaign_id: CampaignId | None = None


class AuditTrail:
    """Blocking; a session for each call, so any thread may call."""

    def __init__(self, connect: Callable[[], postgres.Connection]) -> None:
        self._connect = connect

    def of(self, campaign_id: CampaignId) -> list[Deed]:
        """Return the newest deeds in one campaign. Raises DatabaseUnavailable."""
        return self._read("audit_of", {"campaign_id": campaign_id, "rows": ROWS})

    def latest(self) -> list[Deed]:
        """Return the newest deeds of all. Raises DatabaseUnavailable."""
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            return [Deed(*row) for row in connection.execute(_QUERIES["audit"], {"rows": ROWS})]

    def note(
        self,
        actor: str,
        action: str,
        detail: dict[str, Any],
        campaign_id: CampaignId | None = None,
    ) -> None:
        """Note what no command notes by itself. Raises DatabaseUnavailable."""
        parameters = {"actor": actor, "action": action, "campaign_id": campaign_id}
        parameters |= {"detail": json.dumps(detail)}
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            connection.execute(_QUERIES["note"], parameters)

    def _read(self, query: str, parameters: dict[str, int]) -> list[Deed]:
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            return [Deed(*row) for row in connection.execute(_QUERIES[query], parameters)]
