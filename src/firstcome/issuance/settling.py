"""Settling: what became of positions is written to the gate, after the rows are there.

It never holds recording up: one attempt with a bounded time, a pause before the next
connection, and failures are only counted. The sweeper settles what was missed here.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from firstcome.errors import GateUnavailable
from firstcome.gate.session import GateSession
from firstcome.issuance.settled import Settled
from firstcome.logs import get_logger

log = get_logger()

RECONNECT_PAUSE_SECONDS = 1.0
RECONNECT_PAUSE_SECONDS_MAX = 5.0


class Settling:
    """Writes settled ranges through one session, reopened at most every few seconds."""

    def __init__(
        self,
        open_session: Callable[[], GateSession],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_session
        self._clock = clock
        self._session: GateSession | None = None
        self._pause = RECONNECT_PAUSE_SECONDS
        self._open_again_at = 0.0
        self.failures = 0

    def settle(self, settled: Settled) -> None:
        """Write every range; on failure leave the rest to the sweeper. Never raises."""
        try:
            session = self._connected()
            if session is None:
                self.failures += 1
                return
            for (campaign_id, epoch), ranges in settled.coalesced().items():
                session.settle(campaign_id, epoch, ranges)
            self._pause = RECONNECT_PAUSE_SECONDS
        except GateUnavailable as error:
            self.failures += 1
            self._open_again_at = self._clock() + self._pause
            self._pause = min(self._pause * 2, RECONNECT_PAUSE_SECONDS_MAX)
            self.close()
            log.warning("settling_failed", reason=str(error))

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            with suppress(GateUnavailable):
                self._session.close()
            self._session = None

    def _connected(self) -> GateSession | None:
        if self._session is None and self._clock() >= self._open_again_at:
            self._session = self._open()
        return self._session
