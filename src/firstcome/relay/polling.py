"""The polling relay: looks into the outbox again and again, woken by recorders.

Beside the path: outbox -> [relay.polling] -> eventlog.emitter -> the topic of issued coupons

One relay works at a time; others stand by. Should a call be lost, it looks by itself every
relay.poll_seconds.
"""

import time
from collections.abc import Callable
from threading import Event

from firstcome import postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable
from firstcome.eventlog.emitter import Emitter
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.relay.look import Look
from firstcome.relay.outbox import CHANNEL
from firstcome.relay.pace import Pace
from firstcome.relay.pause import Pause
from firstcome.settings import RelaySettings

log = get_logger()


class PollingRelay:
    """For one thread."""

    def __init__(
        self,
        settings: RelaySettings,
        connect: Callable[[], postgres.Connection],
        listen: Callable[[str], postgres.Listener],
        emitter: Emitter,
    ) -> None:
        """`listen`: opens a session that hears calls on a channel."""
        self._settings = settings
        self._listen = listen
        self._emitter = emitter
        self._look = Look(settings, connect, emitter)
        self._listener: postgres.Listener | None = None
        self._all = True  # the last look left nothing for the next one
        self._pause = Pause(settings.retry_pause_seconds_max)
        self._pace = Pace(settings.interval_seconds, settings.interval_seconds_max)

    def run(self, stop: Event, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; engines that are away are logged and tried again.

        Calls `ready` when it has first looked and published what there was.
        """
        said = called = False
        began = time.monotonic()
        try:
            while not stop.is_set():
                before, began = began, time.monotonic()
                try:
                    published = self.run_once()
                    self._pace.found(published, began - before)
                    if not said:
                        said = True
                        ready()
                    if self._all or not published:
                        called = self._wait(stop, began, is_busy=called or published > 0)
                except (DatabaseUnavailable, LogUnavailable) as error:
                    self._wait_longer(stop, error)
        finally:
            self.close()

    def run_once(self) -> int:
        """Publish the oldest rows; return how many events, 0 also while another relay works.

        Raises DatabaseUnavailable, LogUnavailable; then call again: the rows are still there.
        """
        looked = self._look.run_once()
        self._all = looked.all
        self._pause.over()
        return looked.events

    def close(self) -> None:
        """End every session; what is not acknowledged stays in the outbox."""
        self._emitter.close()
        self._look.close()
        if self._listener is not None:
            self._listener.close()
        self._listener = None

    def _wait(self, stop: Event, began: float, *, is_busy: bool) -> bool:
        """Wait until the next look may begin; return whether somebody called.

        Waits for a call if the last look neither followed one nor found anything: recorders do not
        call for each of their commits.
        """
        if self._listener is None or self._listener.closed:
            # Rows that were committed before it listened are found by the next look.
            self._listener = self._listen(CHANNEL)
            return True
        called = self._listener.wait(0.0 if is_busy else self._settings.poll_seconds)
        pause = max(self._pace.seconds, postgres.CALL_SECONDS * is_busy)
        stop.wait(max(0.0, began + pause - time.monotonic()))
        return called

    def _wait_longer(self, stop: Event, error: Exception) -> None:
        catalogue.RELAY_INTERRUPTED.add(1, "engine_away")
        self.close()
        pause = self._pause.longer()
        log.warning("relay_interrupted", again_in_seconds=pause, reason=str(error))
        stop.wait(pause)
