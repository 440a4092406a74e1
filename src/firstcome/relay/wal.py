"""The WAL relay: follows the write-ahead log through a replication slot; soonest of all.

Beside the path: write-ahead log -> [relay.wal] -> eventlog.emitter -> the topic of issued coupons

Every life of a stream begins with the slot in hand, which nobody else can read then, and with the
outbox: what it lists is published as by the polling relay, so that neither a slot made late nor one
made anew leaves anything out. Then the write-ahead log is followed. Other relays stand by until the
slot is free. A slot that cannot be read is never made here: an error says what an operator has to
do.
"""

import time
from collections.abc import Callable
from threading import Event

from firstcome import postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable, SlotUnusable
from firstcome.eventlog.emitter import Emitter
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.relay import slot as slots
from firstcome.relay.following import Following
from firstcome.relay.look import FORGET_SECONDS, Look
from firstcome.relay.outbox import Outbox, Range
from firstcome.relay.pause import Pause
from firstcome.relay.slot import State
from firstcome.relay.told import Told
from firstcome.settings import RelaySettings

log = get_logger()
STANDBY_SECONDS = 0.5  # a relay that stands by looks so often whether the slot is free
LOCK_PAUSE_SECONDS = 0.02  # another relay is looking into the outbox
END_SECONDS = 1.0
IN_USE = "55006"


class WalRelay:
    """For one thread."""

    def __init__(
        self,
        settings: RelaySettings,
        connect: Callable[[], postgres.Connection],
        stream: Callable[[], postgres.ReplicationStream],
        emitter: Emitter,
    ) -> None:
        """`stream`: begins to read the slot."""
        self._settings = settings
        self._open_stream = stream
        self._emitter = emitter
        self._outbox = Outbox(settings)
        self._look = Look(settings, connect, emitter)
        self._stream: postgres.ReplicationStream | None = None
        self._following: Following | None = None
        self._published_first = 0
        self._stands_by = False
        self._ended_at = time.monotonic()
        self._pause = Pause(settings.retry_pause_seconds_max)

    @property
    def follows(self) -> bool:
        """Whether it has the slot, and has published what the outbox listed when it took it."""
        return self._following is not None

    def run(self, stop: Event, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; engines that are away are logged and tried again.

        Calls `ready` when it follows the write-ahead log, or stands by for another relay that does.
        """
        said = False
        try:
            while not stop.is_set():
                try:
                    handed = self.run_once()
                    if not said and (self.follows or self._stands_by):
                        said = True
                        ready()
                    if not handed:
                        self._wait(stop)
                except (DatabaseUnavailable, LogUnavailable, SlotUnusable) as error:
                    self._wait_longer(stop, error)
            self._finish()
        finally:
            self.close()

    def run_once(self) -> int:
        """Follow the stream for one reading; return how many events were published or handed over.

        Begins first, if need be: 0 also while another relay has the slot. Raises
        DatabaseUnavailable, LogUnavailable, SlotUnusable; then close, and call again.
        """
        if self._stream is None:
            self._stream = self._taken_slot()
        if self._stream is None:
            return 0
        if self._following is None:
            return self._publish_outbox(self._stream)
        handed = self._following.run_once()
        self._look.forget()
        self._end_published()
        self._pause.over()
        return handed

    def close(self) -> None:
        """End every session at once; what is not confirmed comes again."""
        self._emitter.close()
        self._look.close()
        if self._stream is not None:
            self._stream.close()
        self._stream = self._following = None
        self._published_first = 0

    def _taken_slot(self) -> postgres.ReplicationStream | None:
        """Begin to read the slot; None while another relay does. Raises SlotUnusable."""
        with postgres.transaction(self._look.session()) as session:
            status = slots.usable(slots.look(session, self._settings.slot_of("wal"), "wal"))
        stream = None if status.state is State.IN_USE else self._free_slot()
        if stream is None and not self._stands_by:
            log.info("relay_stands_by", slot=status.slot)
        self._stands_by = stream is None
        return stream

    def _free_slot(self) -> postgres.ReplicationStream | None:
        try:
            return self._open_stream()
        except DatabaseUnavailable as error:
            if error.sqlstate == IN_USE:
                return None
            raise

    def _publish_outbox(self, stream: postgres.ReplicationStream) -> int:
        """Publish what the outbox lists, one look a call; follow the stream when that is all."""
        looked = self._look.run_once()
        stream.beat()
        self._published_first += looked.events
        if looked.all:
            with postgres.transaction(self._look.session()) as session:
                told = Told(self._published, self._outbox.end_of_log(session))
            session_of, emitter = self._look.session, self._emitter
            self._following = Following(self._settings, stream, session_of, emitter, told)
            slot = self._settings.slot_of("wal")
            log.info("relay_follows", slot=slot, published_first=self._published_first)
        return looked.events

    def _end_published(self) -> None:
        """End rows that could not be seen yet as their events were acknowledged.

        A transaction is in the write-ahead log before it is in effect; with a synchronous standby
        that is slow, long before.
        """
        if time.monotonic() - self._ended_at < FORGET_SECONDS:
            return
        self._ended_at = time.monotonic()
        with postgres.transaction(self._look.session()) as session:
            self._outbox.end_published(session)

    def _published(self, campaign_id: int) -> list[Range]:
        with postgres.transaction(self._look.session()) as session:
            return self._outbox.published(session, campaign_id)

    def _finish(self) -> None:
        if self._following is None or self._stream is None:
            return
        try:
            self._following.finish()
            self._stream.end(END_SECONDS)
        except (DatabaseUnavailable, LogUnavailable) as error:
            log.warning("relay_interrupted", again_in_seconds=None, reason=str(error))

    def _wait(self, stop: Event) -> None:
        if self._following is not None:
            self._following.wait()
        else:
            stop.wait(STANDBY_SECONDS if self._stream is None else LOCK_PAUSE_SECONDS)

    def _wait_longer(self, stop: Event, error: Exception) -> None:
        self.close()
        pause = self._pause.longer()
        unusable = isinstance(error, SlotUnusable)
        catalogue.RELAY_INTERRUPTED.add(1, "slot_unusable" if unusable else "engine_away")
        if unusable:
            log.error("relay_slot_unusable", again_in_seconds=pause, reason=str(error))
        else:
            log.warning("relay_interrupted", again_in_seconds=pause, reason=str(error))
        stop.wait(pause)
