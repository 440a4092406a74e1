"""The loop of a recorder process: poll, record, commit offsets, settle.

Path: eventlog.kafka -> [issuance.recording] -> PostgreSQL, then the gate

Offsets follow the rows, never lead them: a crash in between replays the records,
and replays write nothing. While the database is away the records stay in hand,
the partitions are paused, and polling goes on so that the place in the group is
kept. Nothing in hand survives a rebalance: the next owner polls it again.
"""

import time
from collections.abc import Callable
from threading import Event

from firstcome import failpoints
from firstcome.errors import BadRecord, DatabaseUnavailable, RecordingStopped
from firstcome.eventlog import events
from firstcome.eventlog.consumer import Consumer, Partition, Polled
from firstcome.issuance.batch import Batch, slices
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.settled import Settled
from firstcome.issuance.tally import Tally
from firstcome.issuance.transaction import Recorded
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import Engine
from firstcome.settings import KafkaSettings, RecorderSettings

log = get_logger()

RETRY_PAUSE_SECONDS = 0.05  # the first one; each further pause is twice as long


class Recording:
    """Moves records from the log to the database. For one thread."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: RecorderSettings,
        recorder: Recorder,
        settle: Callable[[Settled], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`settle` must neither raise nor block for long."""
        self._settings = settings
        self._recorder = recorder
        self._settle = settle
        self._tally = Tally(Engine.KAFKA)
        self._clock = clock
        self._consumer = Consumer(kafka, self._forget)
        self._held: list[Polled] = []
        self._pause = 0.0
        self._try_again_at = 0.0
        self._committed_at = clock()
        self.stopped = False  # too many claims were refused; shown until a batch goes in again

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions that this recorder reads now."""
        return self._consumer.assigned

    @property
    def records_held(self) -> int:
        """Records in hand that the database has not taken yet."""
        return len(self._held)

    def run(self, stop: Event) -> None:
        """Work until `stop` is set, then commit what is done and leave the group.

        Raises LogUnavailable when this member of the group is finished for good.
        """
        try:
            while not stop.is_set():
                self.run_once()
        finally:
            self.close()

    def run_once(self) -> Recorded:
        """Poll once and record it, or try again what is in hand; return what was recorded."""
        if self._held and (wait := self._try_again_at - self._clock()) > 0:
            # Partitions are paused, so this returns early only when the group has news.
            # In two steps: the poll may take records out of our hand.
            polled = self._consumer.poll(1, min(wait, 0.1))
            self._held += polled
            return Recorded()
        if not self._held:
            # Whatever was waited for with partitions paused may have left with them.
            self._consumer.resume()
            timeout = self._settings.poll_timeout_ms / 1000
            self._held = self._consumer.poll(self._settings.poll_records_max, timeout)
            self._tally.read(len(self._held))
        is_idle = not self._held
        recorded = self._record_held()
        self._commit_when_due(is_idle)
        self._settle(recorded.settled)
        return recorded

    def close(self) -> None:
        """Commit what is done and leave the group; what is in hand is polled again by another."""
        self._consumer.close()
        self._recorder.close()

    def _record_held(self) -> Recorded:
        recorded = Recorded()
        if not self._held:
            return recorded
        try:
            failpoints.hit("after_poll", lost=DatabaseUnavailable("the session broke"))
            batches = self._decoded()
            for run in slices(batches, self._settings.transaction_rows_max):
                with self._tally.transaction(run) as done:
                    done.merge(self._recorder.record(run))
                recorded.merge(done)
        except DatabaseUnavailable as error:
            self._hold("database_away", str(error), self._next_pause())
        except RecordingStopped as error:
            self.stopped = True
            self._hold("recording_stopped", str(error), self._settings.retry_pause_seconds_max)
        else:
            self._consumer.done(self._held)
            self._held = []
            self._go_on(recorded)
        return recorded

    def _decoded(self) -> list[Batch]:
        """Return the claims in hand; what cannot be read becomes a dead letter."""
        batches: list[Batch] = []
        for record in self._held:
            if not record.value:
                continue
            try:
                event = events.decode(record.value)
            except BadRecord as error:
                self._recorder.set_aside(record.origin, record.value, error)
                log.error("record_set_aside", reason=str(error), **record.origin._asdict())
                continue
            if event is not None:
                batches.append(Batch(event, record.origin))
        return batches

    def _hold(self, event: str, reason: str, pause: float) -> None:
        self._consumer.pause()
        self._pause = pause
        self._try_again_at = self._clock() + pause
        catalogue.HELD.add(1, event)
        log.error(event, records_held=len(self._held), again_in_seconds=pause, reason=reason)

    def _next_pause(self) -> float:
        return min(
            max(RETRY_PAUSE_SECONDS, self._pause * 2), self._settings.retry_pause_seconds_max
        )

    def _go_on(self, recorded: Recorded) -> None:
        self._consumer.resume()
        if self._pause:
            log.info("recording_went_on")
        self._pause = 0.0
        self.stopped = False
        if recorded.quarantined or recorded.dead_lettered or recorded.fenced:
            log.error(
                "claims_set_aside",
                quarantined=recorded.quarantined,
                dead_lettered=recorded.dead_lettered,
                fenced=recorded.fenced,
            )

    def _commit_when_due(self, is_idle: bool) -> None:
        now = self._clock()
        if is_idle or now - self._committed_at >= self._settings.commit_interval_seconds:
            self._consumer.commit()
            self._committed_at = now

    def _forget(self, dropped: set[Partition]) -> None:
        """Let go of records whose partitions have another owner now."""
        self._held = [
            record
            for record in self._held
            if (record.origin.topic, record.origin.partition) not in dropped
        ]
