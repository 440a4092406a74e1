"""Settling: what became of positions is written to the gate, after the rows are there.

It never holds recording up: one attempt with a bounded time, a pause before the next
connection; what could not be written is kept for it. The sweeper settles what is missed here.
"""

import time
from collections.abc import Callable

from firstcome import failpoints
from firstcome.errors import GateUnavailable
from firstcome.gate.session import GateSession
from firstcome.issuance.settled import Ranges, Settled
from firstcome.logs import get_logger
from firstcome.model import CampaignId

log = get_logger()

RECONNECT_PAUSE_SECONDS = 0.25
RECONNECT_PAUSE_SECONDS_MAX = 5.0
OWED_RANGES_MAX = 20_000  # kept while Redis is away; what does not fit is the sweeper's


class Settling:
    """Writes settled ranges through one session, reopened at most every few moments."""

    def __init__(
        self,
        open_session: Callable[[], GateSession],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_session
        self._clock = clock
        self._session: GateSession | None = None
        self._owed = Settled()
        self._pause = RECONNECT_PAUSE_SECONDS
        self._open_again_at = 0.0
        self.failures = 0

    def settle(self, settled: Settled) -> None:
        """Write every range, and those owed from before. Never raises.

        On failure the ranges are kept for the next call, up to a bound.
        """
        self._owed.merge(settled)
        if self._session is None and self._clock() < self._open_again_at:
            return
        ranges = self._owed.coalesced()
        if not ranges:
            return
        try:
            self._write(ranges)
        except GateUnavailable as error:
            self.failures += 1
            self._open_again_at = self._clock() + self._pause
            self._pause = min(self._pause * 2, RECONNECT_PAUSE_SECONDS_MAX)
            self.close()
            if sum(map(len, ranges.values())) > OWED_RANGES_MAX:
                self._owed = Settled()
            log.warning("settling_failed", reason=str(error))
        else:
            self._owed = Settled()
            self._pause = RECONNECT_PAUSE_SECONDS

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _write(self, ranges: dict[tuple[CampaignId, int], Ranges]) -> None:
        if self._session is None:
            self._session = self._open()
        for (campaign_id, epoch), each in ranges.items():
            self._session.settle(campaign_id, epoch, each)
        failpoints.hit("after_settle", lost=GateUnavailable("the reply of settling was lost"))
