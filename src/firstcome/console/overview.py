"""What operators look at during a drop: every campaign, in its gate and in its rows.

One query, one pipelined read of the gates and one question to Kafka. Kept between two looks is
only what cannot change: up to which position every row is there. The engines are read one after
the other, so numbers of a running drop belong to different moments. Redis or Kafka away leaves its
part null; the rest is shown.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from enum import StrEnum
from typing import NamedTuple

import msgspec

from firstcome import postgres
from firstcome.campaigns.rows import engine_of, unreadable
from firstcome.console.lag import Lag
from firstcome.errors import GateUnavailable, LogUnavailable
from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId, CampaignState, Engine

_QUERIES = postgres.queries("overview")
FIELDS = ("epoch", "version", "position_last")


class GateState(StrEnum):
    """Whether a gate admits, and if not, why."""

    OPEN = "OPEN"  # of the database's epoch and of this life of the server
    SHUT = "SHUT"  # a rebuild is under way
    STALE = "STALE"  # of another epoch or server life: it waits for a rebuild
    ABSENT = "ABSENT"  # Redis has no such gate: not loaded yet, or lost
    UNREACHABLE = "UNREACHABLE"  # Redis gave no answer
    NONE = "NONE"  # the engine `direct` has no gate


class GateView(msgspec.Struct, frozen=True):
    """A campaign's gate; null where it cannot be read."""

    state: GateState
    epoch: int | None = None
    version: int | None = None
    position_last: int | None = None


class CampaignOverview(msgspec.Struct, frozen=True):
    """One campaign. stock_left and under_way need the gate and are null without it."""

    campaign_id: int
    name: str
    engine: Engine
    state: CampaignState
    stock: int
    stock_left: int | None
    under_way: int | None
    issued: int
    under_review: int
    cancelled: int
    epoch: int
    version: int
    gate: GateView


class OutboxView(msgspec.Struct, frozen=True):
    """Issued coupons whose events wait for a relay, in how many rows, and since when."""

    events: int
    rows: int
    oldest_seconds: float


class OverviewReport(msgspec.Struct, frozen=True):
    """All campaigns that are not archived; lag is null while Kafka gives no answer."""

    lag_records: int | None
    lag_seconds: float | None  # age of the oldest record that no recorder has done, at least
    outbox: OutboxView
    campaigns: list[CampaignOverview]
    letters_waiting: int = 0  # dead letters that nobody has decided
    redis_answers: bool = True

    @property
    def under_way(self) -> int | None:
        """Claims that have their place and no row yet; None while Redis gives no answer.

        A gate that waits for its rebuild is left out: nobody knows its part until then.
        """
        if any(each.gate.state is GateState.UNREACHABLE for each in self.campaigns):
            return None
        return sum(each.under_way or 0 for each in self.campaigns)


class _Facts(NamedTuple):
    """A row of sql/overview.sql."""

    campaign_id: int
    name: str
    engine: str
    state: str
    stock: int
    position_limit: int
    epoch: int
    version: int
    rows: int
    dense_to: int
    under_review: int
    cancelled: int

    @property
    def issued(self) -> int:
        return self.rows - self.under_review - self.cancelled


class Overview:
    """Blocking; may be used by several threads at once."""

    def __init__(
        self,
        connect: Callable[[], postgres.Connection],
        open_gate: Callable[[], GateSession],
        lag: Callable[[], Lag],
    ) -> None:
        """`lag`: how far the recorders are behind; may raise LogUnavailable."""
        self._connect = connect
        self._open_gate = open_gate
        self._lag = lag
        self._floors: dict[int, int] = {}  # every position of a campaign up to here has its row

    def read(self) -> OverviewReport:
        """Look once. Raises DatabaseUnavailable; what Redis or Kafka would say may be missing."""
        facts = self._facts()
        gates = self._gates(facts)
        seen = gates or [GateView(GateState.UNREACHABLE)] * len(facts)
        rows = [_overview(fact, gate) for fact, gate in zip(facts, seen, strict=True)]
        ((events, waiting, oldest_seconds, letters),) = self._rows("waiting")
        outbox = OutboxView(events, waiting, oldest_seconds)
        lag = self._lag_seen()
        return OverviewReport(
            lag and lag.records, lag and lag.seconds, outbox, rows, letters, gates is not None
        )

    def check_database(self) -> None:
        """Return if PostgreSQL answers and has our tables. Raises DatabaseUnavailable."""
        self._rows("ready")

    def _facts(self) -> list[_Facts]:
        floors = self._floors
        self._floors = {}  # should this fail, the database may be another one the next time
        known = {"campaigns": list(floors), "floors": list(floors.values())}
        facts = [_Facts(*row) for row in self._rows("campaigns", known)]
        self._floors = {fact.campaign_id: fact.dense_to for fact in facts}
        return [fact for fact in facts if not _is_strange(fact)]

    def _rows(self, query: str, values: Mapping[str, object] | None = None) -> list[postgres.Row]:
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            return connection.execute(_QUERIES[query], values).fetchall()

    def _lag_seen(self) -> Lag | None:
        try:
            return self._lag()
        except LogUnavailable:
            return None

    def _gates(self, facts: list[_Facts]) -> list[GateView] | None:
        """Return each gate; None: Redis gives no answer."""
        names = [keys.gate(CampaignId(fact.campaign_id)) for fact in facts]
        try:
            with self._open_gate() as session:
                replies = session.pipeline([("HMGET", name, *FIELDS) for name in names])
                run_id = session.run_id
        except GateUnavailable:
            return None
        return [_gate(fact, reply, run_id) for fact, reply in zip(facts, replies, strict=True)]


def _is_strange(fact: _Facts) -> bool:
    """Whether only a later version can read it."""
    return unreadable(CampaignId(fact.campaign_id), fact.engine) is not None


def _gate(fact: _Facts, reply: object, run_id: str) -> GateView:
    if not engine_of(fact.engine).has_gate:
        return GateView(GateState.NONE)
    if not isinstance(reply, list):
        return GateView(GateState.UNREACHABLE)
    field, version, position_last = reply
    if field is None:
        return GateView(GateState.ABSENT)
    split = keys.split_epoch_field(field.decode())
    if split is None:
        return GateView(GateState.SHUT)
    is_current = split == (fact.epoch, run_id)
    state = GateState.OPEN if is_current else GateState.STALE
    return GateView(state, split[0], int(version), int(position_last))


def _overview(fact: _Facts, gate: GateView) -> CampaignOverview:
    last = gate.position_last if gate.state is GateState.OPEN else None
    if gate.state is GateState.NONE:
        last = fact.rows  # every position has its row
    return CampaignOverview(
        campaign_id=fact.campaign_id,
        name=fact.name,
        engine=engine_of(fact.engine),
        state=CampaignState(fact.state),
        stock=fact.stock,
        # The gate may not have mirrored the newest limit yet: it never gives more than its own.
        stock_left=None if last is None else max(0, fact.position_limit - last),
        under_way=None if last is None else max(0, last - fact.rows),
        issued=fact.issued,
        under_review=fact.under_review,
        cancelled=fact.cancelled,
        epoch=fact.epoch,
        version=fact.version,
        gate=gate,
    )
