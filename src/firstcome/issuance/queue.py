"""The engine `queue`: the gate's journal is the log, and recorders read it as a group.

Path: gate's journal -> [issuance.queue] -> PostgreSQL, then the gate

All that differs from the engine `kafka`: who acknowledges a claim, and where recorders find it.
The promise is as strong as Redis' persistence, and no stronger: what Redis forgets before it is
recorded is lost.
"""

import asyncio
import time
from collections.abc import Callable
from threading import Event
from typing import NamedTuple

from firstcome import postgres
from firstcome.campaigns.rows import epochs_of
from firstcome.errors import DatabaseUnavailable, GateUnavailable, RecordingStopped
from firstcome.gate import register
from firstcome.gate.journal import JournalEntry, JournalGroup
from firstcome.gate.session import GateSession
from firstcome.issuance.batch import Batch, slices
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.settling import Settling
from firstcome.issuance.sweeper import batch_of
from firstcome.issuance.tally import Tally
from firstcome.issuance.transaction import Recorded
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import CampaignId, Engine
from firstcome.settings import RecorderSettings

log = get_logger()
LOOK_SECONDS = 1.0  # how often campaigns, epochs and abandoned entries are looked for
ABANDONED_SECONDS = 10.0  # longer than any transaction
RETRY_PAUSE_SECONDS = 0.05  # the first one; each further pause is twice as long


class JournalLog:
    """The log as Intake sees it: the gate wrote the entry in the step that admitted the claims."""

    is_away = False

    def append(self, value: bytes, report: Callable[[bool], None]) -> None:
        """Acknowledge at once; `report` hears it on the event loop, after this has returned."""
        asyncio.get_running_loop().call_soon(report, True)


class _Taken(NamedTuple):
    """What one campaign's group gave to this member, until it is recorded."""

    group: JournalGroup
    entries: list[JournalEntry]
    batches: list[Batch]


class QueueRecording:
    """Records the journals of all campaigns of this engine. For one thread."""

    def __init__(
        self,
        settings: RecorderSettings,
        connect: Callable[[], postgres.Connection],
        open_session: Callable[[], GateSession],
        recorder: Recorder,
        settling: Settling,
        member: str,
    ) -> None:
        """`member`: a name that no other recorder has, nor an earlier one had."""
        self._settings = settings
        self._connect = connect
        self._open_session = open_session
        self._recorder = recorder
        self._settling = settling
        self._member = member
        self._tally = Tally(Engine.QUEUE)
        self._session: GateSession | None = None
        self._connection: postgres.Connection | None = None
        self._groups: dict[CampaignId, JournalGroup] = {}
        self._epochs: dict[CampaignId, int] = {}
        self._looked_at = 0.0
        self._held: list[_Taken] = []
        self._pause = 0.0

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; an engine that is away is logged and waited for."""
        try:
            while not stop.is_set():
                stop.wait(self._wait_after(self.run_once()))
        finally:
            self.close()

    def run_once(self) -> Recorded:
        """Read every journal once and record it; return what was recorded."""
        try:
            if not self._held:
                self._held = self._taken()
            recorded = self._record_held()
        except GateUnavailable as error:
            # Entries in hand are recorded all the same; whoever reads them again finds replays.
            self._end_session()
            self._wait_longer("journals_unreadable", error)
            return Recorded()
        except DatabaseUnavailable as error:
            self._end_connection()
            self._wait_longer("database_away", error)
            return Recorded()
        except RecordingStopped as error:
            self._pause = self._settings.retry_pause_seconds_max
            catalogue.HELD.add(1, "recording_stopped")
            log.error("recording_stopped", again_in_seconds=self._pause, reason=str(error))
            return Recorded()
        self._pause = 0.0
        return recorded

    def close(self) -> None:
        """End every session; what is in hand is claimed by another member."""
        self._end_session()
        self._end_connection()
        self._recorder.close()
        self._settling.close()

    def _wait_after(self, recorded: Recorded) -> float:
        """Return how long to wait: what arrives meanwhile makes the next transaction."""
        return self._pause or self._settings.poll_timeout_ms / 1000

    def _taken(self) -> list[_Taken]:
        is_due = time.monotonic() - self._looked_at >= LOOK_SECONDS
        if is_due:
            self._look()
        taken: list[_Taken] = []
        for campaign_id, group in self._groups.items():
            entries = group.read(self._settings.poll_records_max)
            if is_due:
                entries += group.read_abandoned(ABANDONED_SECONDS, self._settings.poll_records_max)
            if entries:
                self._tally.read(len(entries))
                epoch = self._epochs[campaign_id]
                batches = [batch_of(campaign_id, epoch, entry) for entry in entries]
                taken.append(_Taken(group, entries, batches))
        return taken

    def _look(self) -> None:
        """Learn which campaigns there are, and the epochs of their gates."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        ours = list(epochs_of(self._connection, [Engine.QUEUE.value]))
        if self._session is None:
            self._session = self._open_session()
            self._epochs = {}
        gates = register.read_all(self._session, ours)
        epochs = {each: gate.epoch for each, gate in gates.items() if gate.epoch}
        if epochs != self._epochs:
            self._epochs = epochs
            self._groups = {
                each: JournalGroup(self._session, each, epoch, self._member)
                for each, epoch in epochs.items()
            }
        self._looked_at = time.monotonic()

    def _record_held(self) -> Recorded:
        recorded = Recorded()
        batches = [batch for taken in self._held for batch in taken.batches]
        for run in slices(batches, self._settings.transaction_rows_max):
            with self._tally.transaction(run) as done:
                done.merge(self._recorder.record(run))
            recorded.merge(done)
        held, self._held = self._held, []
        self._settling.settle(recorded.settled)
        for taken in held:
            taken.group.acknowledge(taken.entries)
        return recorded

    def _wait_longer(self, event: str, error: Exception) -> None:
        catalogue.HELD.add(1, event)
        longest = self._settings.retry_pause_seconds_max
        self._pause = min(max(RETRY_PAUSE_SECONDS, self._pause * 2), longest)
        log.error(
            event,
            entries_held=sum(len(taken.entries) for taken in self._held),
            again_in_seconds=self._pause,
            reason=str(error),
        )

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session, self._groups, self._epochs, self._looked_at = None, {}, {}, 0.0

    def _end_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._looked_at = None, 0.0
