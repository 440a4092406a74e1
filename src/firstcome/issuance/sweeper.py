"""The sweeper: finds what the path has dropped, and finishes it.

Beside the path: gate's journal -> [issuance.sweeper] -> recorder -> settled bits

A claim is due when it has been open for longer than any recorder could still
need: it is then recorded directly, through the recorder's own classification.
The sweeper never appends to the log. It also mirrors campaigns to the gate,
trims the journal, and has gates rebuilt that belong to an earlier life of Redis.
Every act is idempotent, so several sweepers may run.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event
from time import monotonic, time
from typing import NamedTuple, Protocol

from firstcome import failpoints, postgres
from firstcome.campaigns.rows import gated
from firstcome.errors import DatabaseUnavailable, GateUnavailable, LogUnavailable, RecordingStopped
from firstcome.eventlog.admin import Offsets
from firstcome.eventlog.events import IssuanceRequested
from firstcome.gate import register
from firstcome.gate.journal import Journal, JournalEntry
from firstcome.gate.session import GateSession
from firstcome.issuance.archived import Archived
from firstcome.issuance.batch import Batch
from firstcome.issuance.mirror import mirror
from firstcome.issuance.reconciliation import Reconciliation
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.transaction import Recorded
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import Campaign, CampaignId
from firstcome.settings import Settings

log = get_logger()


class Log(Protocol):
    """What the sweeper asks of the log."""

    def log_ends(self) -> Offsets:
        """Return the end of every partition. Raises LogUnavailable."""
        ...

    def has_reached(self, ends: Offsets) -> bool:
        """Return whether recorders have committed up to these ends. Raises LogUnavailable."""
        ...


class Mark(NamedTuple):
    """How far a journal went at a moment, and where the log ended just after it."""

    at: float  # monotonic
    position_last: int
    log_ends: Offsets | None  # None: the log could not be read, or carries nothing of this


class Swept(NamedTuple):
    """What one tick did."""

    mirrored: int = 0
    trimmed: int = 0
    recorded: int = 0
    rebuilt: int = 0
    removed: int = 0  # epochs of archived campaigns


class Sweeper:
    """For one thread.

    `rebuild` has the gates of these campaigns made anew, which it does not wait for where other
    campaigns must not wait (see rebuilder.py); it returns how many are open again by now.
    """

    def __init__(
        self,
        settings: Settings,
        connect: Callable[[], postgres.Connection],
        open_session: Callable[[], GateSession],
        events: Log,
        recorder: Recorder,
        rebuild: Callable[[Sequence[Campaign]], int],
    ) -> None:
        self._settings = settings.sweeper
        self._bucket_users = settings.rebuild.bucket_users
        self._connect = connect
        self._open_session = open_session
        self._log = events
        self._recorder = recorder
        self._rebuild = rebuild
        self.reconciliation = Reconciliation(
            settings.laws.grace_seconds, settings.sweeper.reconcile_seconds
        )
        self._archived = Archived()
        self._marks: dict[tuple[CampaignId, int], deque[Mark]] = {}
        self._session: GateSession | None = None
        self._connection: postgres.Connection | None = None
        self._swept_at = 0.0

    def run(self, stop: Event) -> None:
        """Watch and sweep until `stop` is set; failures are logged and tried again."""
        try:
            while not stop.is_set():
                self.run_once()
                stop.wait(self._settings.watch_seconds)
        finally:
            self.close()

    def run_once(self) -> Swept:
        """Look at every gate; sweep too, when a tick is due. Never raises an engine's absence."""
        try:
            return self._run_once()
        except (GateUnavailable, DatabaseUnavailable, LogUnavailable) as error:
            self.close()
            catalogue.INTERRUPTED.add(1)
            log.warning("sweep_interrupted", reason=str(error))
        except RecordingStopped as error:
            log.error("rebuild_stopped", reason=str(error))
        return Swept()

    def close(self) -> None:
        """End both sessions; the next tick opens new ones."""
        for link in (self._session, self._connection):
            if link is not None:
                link.close()
        self._session = self._connection = None
        self._recorder.close()

    def _run_once(self) -> Swept:
        connection, session = self._links()
        campaigns = gated(connection)
        gates = register.read_all(session, [each.campaign_id for each in campaigns])
        stale = [
            each
            for each in campaigns
            if register.is_stale(gates[each.campaign_id], each, self._bucket_users)
        ]
        healthy = [each for each in campaigns if each not in stale]
        mirrored = sum(
            mirror(connection, session, each, gates[each.campaign_id]) for each in healthy
        )
        trimmed = recorded = removed = 0
        if monotonic() - self._swept_at >= self._settings.tick_seconds:
            self._swept_at = monotonic()
            trimmed, recorded = self._sweep(session, healthy, gates)
            self.reconciliation.run_once(connection, healthy, gates)
            removed = self._archived.run_once(connection, session)
        # Last: it may fail again and again; healthy gates must not feel that.
        # Asked at each look, also with no gate to open: it tells how the one before has ended.
        rebuilt = self._rebuild(stale)
        return self._told(Swept(mirrored, trimmed, recorded, rebuilt, removed))

    def _told(self, swept: Swept) -> Swept:
        catalogue.SWEPT_AT.set(time())
        catalogue.MIRRORED.add(swept.mirrored)
        catalogue.SWEPT.add(swept.recorded)
        catalogue.KEYS_REMOVED.add(swept.removed)
        return swept

    def _links(self) -> tuple[postgres.Connection, GateSession]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        if self._session is None:
            self._session = self._open_session()
        return self._connection, self._session

    def _sweep(
        self,
        session: GateSession,
        campaigns: list[Campaign],
        gates: dict[CampaignId, register.Register],
    ) -> tuple[int, int]:
        """Trim every journal, and record what is due; return (entries trimmed, claims recorded)."""
        trimmed, due = 0, list[Batch]()
        reached: dict[int, bool] = {}
        positions = {
            (each.campaign_id, each.epoch): gates[each.campaign_id].position_last
            for each in campaigns
        }
        logged = {each.campaign_id for each in campaigns if each.engine.has_topic}
        self._mark(positions, logged)
        for campaign_id, epoch in positions:
            journal = Journal(session, campaign_id, epoch)
            failpoints.hit("before_trim", lost=GateUnavailable("the connection broke"))
            trimmed += journal.trim()
            up_to = self._due_up_to((campaign_id, epoch), reached)
            room = self._settings.claims_max - sum(len(batch.event.users) for batch in due)
            if up_to and room > 0:
                due += [
                    batch_of(campaign_id, epoch, entry) for entry in journal.read(0, up_to, room)
                ]
        return trimmed, self._record(session, due)

    def _mark(self, positions: dict[tuple[CampaignId, int], int], logged: set[CampaignId]) -> None:
        """Remember how far each journal goes; the log's end must be read after that.

        `logged`: campaigns whose claims the log carries; the others are due by age alone.
        """
        ends: Offsets | None = None
        try:
            ends = self._log.log_ends() if logged else None
        except LogUnavailable as error:
            log.warning("log_unreadable", reason=str(error))
        now = monotonic()
        self._marks = {key: self._marks.get(key, deque()) for key in positions}
        for key, position_last in positions.items():
            self._marks[key].append(Mark(now, position_last, ends if key[0] in logged else None))
        failpoints.hit("after_mark", lost=LogUnavailable("the reply with the log's ends was lost"))

    def _due_up_to(self, key: tuple[CampaignId, int], reached: dict[int, bool]) -> int:
        """Return the position up to which open claims are due; 0: none."""
        marks, due = self._marks[key], None
        while marks and monotonic() - marks[0].at >= self._settings.due_after_seconds:
            due = marks.popleft()
        if due is None:
            return 0
        if due.log_ends is not None:
            key_of_ends = id(due.log_ends)
            if key_of_ends not in reached:
                reached[key_of_ends] = self._recorders_reached(due.log_ends)
            if not reached[key_of_ends]:
                marks.appendleft(due)  # a recorder will still come to it
                return 0
        return due.position_last

    def _recorders_reached(self, ends: Offsets) -> bool:
        try:
            return self._log.has_reached(ends)
        except LogUnavailable:
            return True  # readable then, but not for as long as it takes to be due: age alone

    def _record(self, session: GateSession, due: list[Batch]) -> int:
        if not due:
            return 0
        failpoints.hit("after_journal", lost=GateUnavailable("the journal's reply was lost"))
        try:
            recorded = self._recorder.record(due)
        except RecordingStopped as error:
            log.error("sweep_stopped", reason=str(error))
            return 0
        failpoints.hit("after_sweep", lost=GateUnavailable("the connection broke"))
        settle(session, recorded)
        claims = sum(len(batch.event.users) for batch in due)
        log.warning(
            "claims_swept",
            claims=claims,
            issued=recorded.issued,
            replayed=recorded.replayed,
            cancelled=recorded.cancelled,
            quarantined=recorded.quarantined,
        )
        return claims


def batch_of(campaign_id: CampaignId, epoch: int, entry: JournalEntry) -> Batch:
    """Return a journal's entry as the record that the log should have carried."""
    return Batch(
        IssuanceRequested(
            campaign_id,
            epoch,
            entry.first_position,
            entry.users,
            entry.attempts,
            entry.requested_at,
        )
    )


def settle(session: GateSession, recorded: Recorded) -> None:
    """Write what was recorded to the gate. Raises GateUnavailable."""
    for (campaign_id, epoch), ranges in recorded.settled.coalesced().items():
        session.settle(campaign_id, epoch, ranges)
