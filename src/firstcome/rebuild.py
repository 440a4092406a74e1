"""The rebuild: a gate made anew from the database, in a new epoch.

Beside the path: PostgreSQL, log and a surviving journal -> [rebuild] -> gate

Needed whenever Redis is not the server that the gate was loaded into: a first
load, a restart, a wipe, a failover. It promises that whoever was answered
REQUESTED has a row before the new epoch opens, that no position is given twice,
and that what nobody recorded is free again. Any failure leaves the gate shut,
and the next try starts from the beginning. A second rebuild takes over only when
the first one has died: each is alone while its session lives.
"""

from collections.abc import Callable, Sequence
from secrets import token_hex
from threading import Event
from time import monotonic, time
from typing import NamedTuple, Protocol

from firstcome import failpoints, postgres
from firstcome.campaigns.rows import campaign_of, found
from firstcome.errors import (
    DatabaseUnavailable,
    GateUnavailable,
    LogUnavailable,
    RecordingStopped,
)
from firstcome.eventlog.admin import Offsets
from firstcome.gate import keys, register
from firstcome.gate.journal import Journal
from firstcome.gate.session import GateSession
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.sweeper import batch_of
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import Campaign, CampaignId, CampaignState
from firstcome.settings import Settings

log = get_logger()
_QUERIES = postgres.queries("rebuild")
ROWS = 20_000  # read and loaded at a time
JOURNAL_CLAIMS = 5000
POLL_SECONDS = 0.05  # how often recorders are asked whether they are there
STUCK_SECONDS = 30.0  # a rebuild that asks the database nothing for so long makes room for another
GRACE_SECONDS = 1.0  # beyond D: for the clock, and for a record on its way to the broker
Progress = Callable[[str], None]


class Log(Protocol):
    """What the rebuild asks of the log."""

    def log_ends(self) -> Offsets:
        """Return the end of every partition. Raises LogUnavailable."""
        ...

    def has_reached(self, ends: Offsets) -> bool:
        """Return whether recorders have committed up to these ends. Raises LogUnavailable."""
        ...


class _Interrupted(Exception):
    """The process is to stop; the gate stays shut until another rebuild."""


class _Shut(NamedTuple):
    """A campaign whose gate this rebuild has shut, and since when nobody was admitted."""

    campaign: Campaign
    token: str
    since: float  # seconds since 1970


class Rebuild:
    """For one thread. `stop` interrupts its waits."""

    def __init__(
        self,
        settings: Settings,
        events: Log,
        recorder: Recorder,
        stop: Event,
        progress: Progress = lambda _: None,
    ) -> None:
        self._settings = settings
        self._log = events
        self._recorder = recorder
        self._stop = stop
        self._progress = progress

    def run_once(self, campaigns: Sequence[Campaign], *, only_stale: bool = False) -> int:
        """Rebuild the gates of these campaigns; return how many are open again.

        Leaves those alone whose epoch is not the one given here any more: somebody else was
        quicker. `only_stale`: also those that are open by now; another rebuild may have opened
        one between the caller's look and this one's turn. Raises GateUnavailable,
        DatabaseUnavailable, LogUnavailable or RecordingStopped, after it has opened what it
        could: then try again.
        """
        started = monotonic()
        connect = postgres.Timeouts(
            lock_seconds=self._settings.rebuild.lock_timeout_seconds,
            statement_seconds=0,
            transaction_seconds=0,
        )
        with (
            GateSession.open(self._settings.redis) as session,
            postgres.connect(
                self._settings.postgres, name="firstcome-rebuild", timeouts=connect
            ) as connection,
        ):
            if not self._is_alone(connection):
                self._progress(
                    "another rebuild is at work: nothing was done; ask again when it has ended"
                )
                return 0
            try:
                chosen = [
                    each
                    for each in campaigns
                    if self._is_current(connection, each)
                    and not (only_stale and self._is_open(session, each))
                ]
                opened = self._rebuild(session, connection, chosen)
            except _Interrupted:
                return 0
            finally:
                self._recorder.close()
        if opened:
            catalogue.REBUILT.add(opened)
            log.warning("gates_rebuilt", campaigns=opened, seconds=round(monotonic() - started, 3))
        return opened

    def _rebuild(
        self,
        session: GateSession,
        connection: postgres.Connection,
        campaigns: Sequence[Campaign],
    ) -> int:
        shut = [self._shut(session, connection, campaign) for campaign in campaigns]
        failpoints.hit("after_shut", lost=GateUnavailable("the reply of shutting was lost"))
        # What never had a gate has nothing under way, and the engine `queue` has it all in the
        # journal: neither waits for a log that may be away.
        logged = [
            each for each in shut if each.campaign.epoch > 0 and each.campaign.engine.has_topic
        ]
        opened, failure = self._renew_each(
            session, connection, [each for each in shut if each not in logged]
        )
        if logged:
            self._wait_for_recorders(connection, logged)
            more, failed = self._renew_each(session, connection, logged)
            opened, failure = opened + more, failed or failure
        if failure is not None:
            raise failure
        return opened

    def _renew_each(
        self, session: GateSession, connection: postgres.Connection, shut: list[_Shut]
    ) -> tuple[int, Exception | None]:
        """Return how many gates are open again, and why the last that is not could not be."""
        opened, failure = 0, None
        for each in shut:
            try:
                self._record_journal(session, connection, each.campaign)
                opened += self._renew(session, connection, each)
            except (DatabaseUnavailable, RecordingStopped) as error:
                # The other gates must not stay shut for this one.
                log.error(
                    "rebuild_failed", campaign_id=each.campaign.campaign_id, reason=str(error)
                )
                if connection.closed:
                    raise
                failure = error
        return opened, failure

    def _is_alone(self, connection: postgres.Connection) -> bool:
        with postgres.transaction(connection):
            values = {
                "idle": f"{STUCK_SECONDS}s",
                "idle_in_transaction": f"{self._settings.postgres.transaction_timeout_seconds}s",
            }
            connection.execute(_QUERIES["mortal"], values)
            row = connection.execute(_QUERIES["alone"]).fetchone()
        return bool(row and row[0])

    def _is_current(self, connection: postgres.Connection, campaign: Campaign) -> bool:
        with postgres.transaction(connection):
            return found(connection, "show", campaign.campaign_id).epoch == campaign.epoch

    def _is_open(self, session: GateSession, campaign: Campaign) -> bool:
        gate = register.read(session, campaign.campaign_id)
        return not register.is_stale(gate, campaign, self._settings.rebuild.bucket_users)

    def _shut(
        self, session: GateSession, connection: postgres.Connection, campaign: Campaign
    ) -> _Shut:
        """Shut the gate, then read the campaign: nobody is admitted into the epoch read."""
        before = register.read(session, campaign.campaign_id)
        since = self._closed_since(session, before)
        token = f"{register.SHUT}{since:.3f}:{token_hex(8)}"
        register.shut(session, campaign.campaign_id, token)
        with postgres.transaction(connection):
            fresh = found(connection, "show", campaign.campaign_id)
        if fresh.state is CampaignState.ARCHIVED:
            register.forget(session, campaign.campaign_id)  # put away a moment ago
        self._progress(f"campaign {campaign.campaign_id}: gate shut")
        return _Shut(fresh, token, since)

    def _closed_since(self, session: GateSession, before: register.Register) -> float:
        """Return when the last admission may have been, at the latest."""
        now = time()
        if before.field.startswith(register.SHUT):
            return min(now, float(before.field.split(":")[1]))
        if before.field and before.epoch is None and not session.was_replica():
            # Of an earlier life of the server: nobody was admitted since this one began.
            return now - session.uptime_seconds
        # Open until this moment, here or at the master that this was a replica of; or its keys
        # are gone, which may have happened just now.
        return now

    def _horizon_seconds(self) -> float:
        """A REQUESTED can be answered for so long after its gate call."""
        return self._settings.intake.answer_deadline_seconds + GRACE_SECONDS

    def _wait_for_recorders(self, connection: postgres.Connection, under_way: list[_Shut]) -> None:
        """Wait until every claim that may have been promised has a row."""
        since = max(each.since for each in under_way)
        wait = since + self._horizon_seconds() - time()
        if wait > 0:
            self._progress(f"waiting {wait:.1f} s for answers under way")
            self._pause(wait)
        ends = self._log.log_ends()
        failpoints.hit("after_wait", lost=LogUnavailable("the reply with the log's ends was lost"))
        until = monotonic() + self._settings.rebuild.recorders_timeout_seconds
        self._progress("waiting for recorders to reach the end of the log")
        while not self._log.has_reached(ends):
            if monotonic() > until:
                raise LogUnavailable(
                    "recorders did not reach the end of the log in time; the gate stays shut and "
                    "nothing is lost: check that recorders run (`firstcome status`)"
                )
            self._show_life(connection)
            self._pause(POLL_SECONDS)
        failpoints.hit("after_drain", lost=LogUnavailable("the reply with the offsets was lost"))

    def _show_life(self, connection: postgres.Connection) -> None:
        with postgres.transaction(connection):
            connection.execute(_QUERIES["alive"])

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Interrupted

    def _record_journal(
        self, session: GateSession, connection: postgres.Connection, campaign: Campaign
    ) -> None:
        """Record what a surviving journal still knows: better issued late than given up."""
        if campaign.epoch == 0:
            return
        journal = Journal(session, campaign.campaign_id, campaign.epoch)
        after = 0
        while entries := journal.read(after, None, JOURNAL_CLAIMS):
            self._recorder.record(
                [batch_of(campaign.campaign_id, campaign.epoch, entry) for entry in entries]
            )
            after = entries[-1].first_position
            self._show_life(connection)
            self._progress(f"campaign {campaign.campaign_id}: journal read up to {after}")
        failpoints.hit("after_survivors", lost=DatabaseUnavailable("the session broke"))

    def _renew(self, session: GateSession, connection: postgres.Connection, shut: _Shut) -> bool:
        """Begin the next epoch in the database, load it into Redis, open it, tidy up."""
        buckets = keys.buckets_for(
            shut.campaign.position_limit, self._settings.rebuild.bucket_users
        )
        if not self._begin_epoch(connection, shut.campaign, buckets):
            return False
        campaign, position_last = self._load(
            session, connection, shut.campaign.campaign_id, buckets
        )
        failpoints.hit("before_switch", lost=GateUnavailable("the connection broke"))
        is_open = register.switch(
            session, campaign, shut.token, buckets=buckets, position_last=position_last
        )
        failpoints.hit("after_switch", lost=GateUnavailable("the reply of the switch was lost"))
        if is_open:
            self._unlink_ended(session, connection, campaign)
            failpoints.hit("after_unlink", lost=GateUnavailable("the connection broke"))
            self._progress(f"campaign {campaign.campaign_id}: epoch {campaign.epoch} open")
        return is_open

    def _begin_epoch(
        self, connection: postgres.Connection, campaign: Campaign, buckets: int
    ) -> bool:
        """Fence the old epoch and give up its holes, in one transaction; False: overtaken."""
        values = {"campaign_id": campaign.campaign_id, "epoch": campaign.epoch}
        with postgres.transaction(connection):
            locked = campaign_of(connection.execute(_QUERIES["lock"], values).fetchone() or ())
            if locked.epoch != campaign.epoch or locked.state is CampaignState.ARCHIVED:
                return False
            # A later statement: its snapshot sees the rows of whoever held the lock before.
            row = connection.execute(_QUERIES["last_position"], values).fetchone() or (0,)
            values |= {"last_position": row[0], "version": locked.version + 1, "buckets": buckets}
            holes = connection.execute(_QUERIES["cancel_holes"], values).rowcount
            connection.execute(_QUERIES["end_epoch"], values)
            connection.execute(_QUERIES["begin_epoch"], values | {"holes": holes})
            failpoints.hit("before_epoch", lost=DatabaseUnavailable("the session broke"))
        failpoints.hit("after_epoch", lost=DatabaseUnavailable("the commit's reply was lost"))
        if holes:
            log.warning("holes_cancelled", campaign_id=campaign.campaign_id, holes=holes)
        return True

    def _load(
        self,
        session: GateSession,
        connection: postgres.Connection,
        campaign_id: CampaignId,
        buckets: int,
    ) -> tuple[Campaign, int]:
        """Write users and settled bits of every row; return the campaign and its last position.

        In one snapshot, so that the version switched to is that of the rows loaded.
        """
        values = {"campaign_id": campaign_id, "rows": ROWS}
        after = loaded = 0
        with postgres.transaction(connection):
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            campaign = found(connection, "show", campaign_id)
            # Of a database that was put back to an earlier day: keys of this number may be there.
            register.unlink(session, campaign_id, campaign.epoch, buckets)
            loader = register.Loader(session, campaign_id, campaign.epoch, buckets)
            while rows := connection.execute(
                _QUERIES["rows"], values | {"after": after}
            ).fetchall():
                for row in rows:
                    loader.add(*row)
                loader.flush()
                after, loaded = rows[-1][0], loaded + len(rows)
                self._progress(f"campaign {campaign_id}: {loaded} rows loaded")
                if self._stop.is_set():
                    raise _Interrupted
            loader.finish()
        return campaign, after

    def _unlink_ended(
        self, session: GateSession, connection: postgres.Connection, campaign: Campaign
    ) -> None:
        values = {"campaign_id": campaign.campaign_id, "epoch": campaign.epoch}
        with postgres.transaction(connection):
            ended = connection.execute(_QUERIES["ended_epochs"], values).fetchall()
            for epoch, buckets in ended:
                register.unlink(session, campaign.campaign_id, epoch, buckets)
                connection.execute(_QUERIES["unlinked"], values | {"epoch": epoch})
