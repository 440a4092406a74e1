"""The rebuilder: rebuilds that the sweeper begins, on a thread of their own.

Beside the path: issuance.sweeper -> [issuance.rebuilder] -> rebuild

A rebuild may wait for a minute, for recorders that are behind; other campaigns must be swept and
mirrored meanwhile. One is at work at a time. When it has been for longer than STUCK_SECONDS,
another tries now and then: the database lets it begin only if the first gave no sign of life for
so long (see rebuild.py). What a rebuild cannot do because an engine is away is tried again when
the sweeper asks again; an unexpected error is handed to the sweeper, and ends its process.
"""

from collections.abc import Callable, Sequence
from threading import Thread
from time import monotonic

from firstcome.errors import RecordingStopped, Unavailable
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import Campaign
from firstcome.rebuild import STUCK_SECONDS

TRY_SECONDS = 5.0
log = get_logger()
RunOnce = Callable[[Sequence[Campaign]], int]


class _Attempt(Thread):
    """One rebuild under way; a daemon, so that one that hangs holds no stop up."""

    def __init__(self, rebuild: RunOnce, campaigns: Sequence[Campaign]) -> None:
        super().__init__(name="rebuild", daemon=True)
        self._rebuild = rebuild
        self._campaigns = campaigns
        self.opened = 0
        self.was_interrupted = False
        self.unexpected: Exception | None = None

    def run(self) -> None:
        try:
            self.opened = self._rebuild(self._campaigns)
        except RecordingStopped as error:
            log.error("rebuild_stopped", reason=str(error))
        except Unavailable as error:
            self.was_interrupted = True
            log.warning("rebuild_interrupted", reason=str(error))
        except Exception as error:
            log.exception("rebuild_broke")
            self.unexpected = error


class Rebuilder:
    """For one thread. `make`: makes a rebuild that no other thread uses."""

    def __init__(
        self, make: Callable[[], RunOnce], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._make = make
        self._clock = clock
        self._rebuild = make()
        self._attempts: list[_Attempt] = []
        self._try_at = 0.0

    def begin(self, campaigns: Sequence[Campaign]) -> int:
        """Begin to make these gates anew, unless that is under way; return at once.

        Without any, it only tells what has ended. Returns how many gates were opened since it was
        last asked. Raises what a rebuild ended with, if nobody expected that.
        """
        opened = self._collected()
        if not campaigns:
            return opened
        if self._attempts:
            if self._clock() < self._try_at:
                return opened
            self._rebuild = self._make()  # the other is in the hands of a thread
            self._try_at = self._clock() + TRY_SECONDS
        else:
            self._try_at = self._clock() + STUCK_SECONDS
        attempt = _Attempt(self._rebuild, campaigns)
        self._attempts.append(attempt)
        attempt.start()
        return opened

    def wait(self, seconds: float) -> bool:
        """Wait for what is under way, at most so long; return whether nothing is."""
        until = monotonic() + seconds
        for attempt in self._attempts:
            attempt.join(max(0.0, until - monotonic()))
        return not any(attempt.is_alive() for attempt in self._attempts)

    def _collected(self) -> int:
        ended = [each for each in self._attempts if not each.is_alive()]
        self._attempts = [each for each in self._attempts if each.is_alive()]
        catalogue.INTERRUPTED.add(sum(each.was_interrupted for each in ended))
        for each in ended:
            if each.unexpected is not None:
                raise each.unexpected
        return sum(each.opened for each in ended)
