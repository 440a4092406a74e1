"""One snapshot of the database, with every position of a campaign in flat arrays.

About 30 bytes a position: one million issuances fit in 30 MB. A user is kept as the hash of his
name, which is the same everywhere in this process; two names share one once in 10^19. The
names themselves are read again for what is reported. All queries of a snapshot see the same
moment (REPEATABLE READ), so what they alone show needs no second look.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from firstcome import postgres
from firstcome.campaigns.rows import engine_of
from firstcome.laws.findings import Findings
from firstcome.model import Engine
from firstcome.settings import Settings

NONE, ISSUED, UNDER_REVIEW, CANCELLED = 0, 1, 2, 3  # as the settled bits of the gate
ROWS_FETCHED = 20_000  # of one round trip: some megabytes


class CampaignFacts(NamedTuple):
    """A campaign's own row. Times are milliseconds since 1970; None means no bound."""

    campaign_id: int
    engine: Engine
    state: str
    stock: int
    position_limit: int
    position_last: int
    epoch: int
    version: int
    opens_at: int | None
    closes_at: int | None

    @property
    def gated(self) -> bool:
        """Whether a gate must be there."""
        return self.engine.has_gate and self.epoch > 0 and self.state != "ARCHIVED"


class CampaignRows:
    """What the database says of each position; index 0 is unused.

    The arrays reach as far as anything is known, not to the limit: a large stock costs nothing.
    """

    def __init__(self, facts: CampaignFacts, fences: dict[int, int | None]) -> None:
        self.facts = facts
        # epoch -> its last position; None while it lasts.
        self.fences = fences
        self.size = 0
        self.statuses = bytearray()
        self.marks = array("q")
        # Recorded a moment ago: the gate may not know yet.
        self.recent = bytearray()
        # Marks of claims without a row that are younger than the grace.
        self.under_way = array("q")
        self.grow(0)
        self.set_aside: set[tuple[int, str]] = set()
        self.forgotten: set[int] = set()
        self.counts: Counter[int] = Counter()

    @property
    def campaign_id(self) -> int:
        """The campaign's number."""
        return self.facts.campaign_id

    def grow(self, position: int) -> None:
        """Let the arrays reach a position, but never beyond the limit."""
        more = min(position, self.facts.position_limit) + 1 - self.size
        if more > 0:
            self.statuses.extend(bytes(more))
            self.recent.extend(bytes(more))
            self.marks.frombytes(bytes(8 * more))
            self.under_way.frombytes(bytes(8 * more))
            self.size += more

    def status_at(self, position: int) -> int:
        """Return the row's status; NONE beyond the limit."""
        return self.statuses[position] if 0 < position < self.size else NONE

    def mark_at(self, position: int) -> int:
        """Return the mark of the row's user; 0 where there is none."""
        return self.marks[position] if 0 < position < self.size else 0

    def waits(self, position: int, user_id: str) -> bool:
        """Return whether that user's claim of a position is under way."""
        return 0 < position < self.size and self.under_way[position] == hash(user_id)

    def row_last(self) -> int:
        """Return the highest position that has a row; 0: none."""
        return max(0, len(self.statuses.rstrip(b"\0")) - 1)

    def marked(self, statuses: frozenset[int]) -> bytes:
        """Return one byte a position: 1 where the row has one of the statuses."""
        table = bytes(int(code in statuses) for code in range(256))
        return bytes(self.statuses).translate(table)


class Snapshot:
    """The database at one moment. Use as a context manager; raises DatabaseUnavailable."""

    def __init__(self, settings: Settings, campaign_ids: list[int] | None) -> None:
        self._laws = settings.laws
        self._ids = campaign_ids
        self._queries = postgres.queries("laws")
        # A million rows take longer than a statement of the path may.
        no_limits = postgres.Timeouts(statement_seconds=0, transaction_seconds=0)
        self._connection = postgres.connect(
            settings.postgres, name="firstcome-verify", timeouts=no_limits
        )
        with postgres.translated():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            fences: dict[int, dict[int, int | None]] = {}
            for campaign_id, epoch, last in self.read("epochs"):
                fences.setdefault(campaign_id, {})[epoch] = last
            self.campaigns = {
                row[0]: CampaignRows(_facts(row), fences.get(row[0], {}))
                for row in self.read("campaigns")
            }

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def read(self, query: str, **parameters: object) -> Iterator[tuple[Any, ...]]:
        """Stream the rows of a query of sql/laws.sql; `ids` is always passed."""
        with postgres.translated(), self._connection.cursor(name=query) as cursor:
            cursor.itersize = ROWS_FETCHED
            cursor.execute(self._queries[query], {"ids": self._ids, **parameters}, binary=True)
            yield from cursor

    def user_at(self, campaign_id: int, position: int) -> str | None:
        """Return the name of the row's user."""
        with postgres.translated():
            row = self._connection.execute(
                self._queries["user_at"], (campaign_id, position)
            ).fetchone()
        return row[0] if row else None

    def load(self, rows: CampaignRows, findings: Findings) -> None:
        """Fill the arrays of one campaign; says what is wrong with single rows and their order."""
        campaign_id = rows.campaign_id
        for (last,) in self.read("position_last", campaign_id=campaign_id):
            rows.grow(last)
        size = rows.size
        statuses, marks, recent = rows.statuses, rows.marks, rows.recent
        skew = self._laws.clock_skew_seconds
        latest = 0.0
        beyond: Counter[int] = Counter()
        grace = self._laws.grace_seconds
        for row in self.read("rows", campaign_id=campaign_id, grace=grace):
            position, status, user, requested_at, is_recent = row
            if position >= size:
                beyond[status] += 1
                findings.broken("BEYOND_LIMIT", campaign_id, position, user)
                continue
            if statuses[position]:
                findings.broken("POSITION_TWICE", campaign_id, position, user)
            statuses[position] = status
            marks[position] = hash(user) if user else 0
            recent[position] = is_recent
            if requested_at:
                if requested_at < latest - skew:
                    late = (
                        f"It was requested {latest - requested_at:.1f} s before a lower position."
                    )
                    findings.broken("REQUESTED_OUT_OF_ORDER", campaign_id, position, user, late)
                    latest = requested_at
                latest = max(latest, requested_at)
        for status in (ISSUED, UNDER_REVIEW, CANCELLED):
            rows.counts[status] = statuses.count(status) + beyond[status]


def _facts(row: tuple[Any, ...]) -> CampaignFacts:
    campaign_id, engine, *others, opens_at, closes_at = row
    times = [None if one is None else round(one * 1000) for one in (opens_at, closes_at)]
    return CampaignFacts(campaign_id, engine_of(engine), *others, *times)
