"""How far the claims of a run are: what the gate admitted, what the log holds, what has a row.

The lag in records is that of the recorders: in Kafka by their group's offsets, in a journal by
what Redis says of the group. The lag in claims counts positions: admitted, without a row.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from firstcome.bench.collect.collector import Values
from firstcome.bench.collect.database import Looker
from firstcome.bench.collect.gate import Redis
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate import keys
from firstcome.model import CampaignId, Engine
from firstcome.settings import Settings


class _Campaign(NamedTuple):
    """A row of the query `campaigns`."""

    campaign_id: CampaignId
    epoch: int
    engine: str
    reached: int


class Claims:
    """Looks at the campaigns of one run, from the moment they exist."""

    def __init__(
        self, settings: Settings, engine: Engine, campaigns: Callable[[], Sequence[CampaignId]]
    ) -> None:
        self._engine = engine
        self._campaigns = campaigns
        self._looker = Looker(settings.postgres)
        self._redis = Redis(settings.redis)
        self._log = LogAdmin(settings.kafka, timeout_seconds=2.0) if engine.has_topic else None

    def read(self) -> Values:
        """Look once. Raises Unavailable."""
        ids = list(self._campaigns())
        if not ids:
            return {}
        campaigns = [_Campaign(*row) for row in self._looker.rows("campaigns", ids=ids)]
        reached = sum(campaign.reached for campaign in campaigns)
        values: Values = {"issued_total": {"": float(reached)}}
        if self._engine.has_gate:
            values["consumer_lag_claims"] = {"": float(max(0, self._admitted(campaigns) - reached))}
            values["consumer_lag_records"] = {"": float(self._records(campaigns))}
        return values

    def close(self) -> None:
        """End all sessions."""
        self._looker.close()
        self._redis.close()

    def _admitted(self, campaigns: Sequence[_Campaign]) -> int:
        asked = [("HGET", keys.gate(each.campaign_id), "position_last") for each in campaigns]
        return sum(int(reply) for reply in self._redis.ask(*asked) if isinstance(reply, bytes))

    def _records(self, campaigns: Sequence[_Campaign]) -> int:
        if self._log is not None:
            return self._log.lag()
        journals = [keys.journal(each.campaign_id, each.epoch) for each in campaigns]
        replies = self._redis.ask(*(("XINFO", "GROUPS", journal) for journal in journals))
        return sum(_behind(group) for reply in replies for group in _groups(reply))


def _groups(reply: object) -> list[dict[bytes, object]]:
    """Return XINFO GROUPS' reply as one dictionary a group; none where there is no journal yet."""
    if not isinstance(reply, list):
        return []
    return [dict(zip(group[::2], group[1::2], strict=True)) for group in reply]


def _behind(group: dict[bytes, object]) -> int:
    """Return the entries that a group has not read yet, or not acknowledged."""
    counts = (group.get(b"lag"), group.get(b"pending"))
    return sum(count for count in counts if isinstance(count, int))
