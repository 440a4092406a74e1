"""How fast recorders work, from what they tell of themselves on their metrics ports.

Between two looks: claims a second of all of them together, and how long a transaction takes. One
that does not answer is left out, and the next look counts what it has done meanwhile.
"""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from firstcome.metrics import catalogue, reading

ANSWER_SECONDS = 0.5  # on loopback; one that stands still must not hold the others' reading up


class Pace(NamedTuple):
    """What recorders did since the look before. None: nothing is known."""

    at: float  # monotonic seconds
    answering: int
    claims_per_second: float | None
    transaction_seconds: float | None  # None also when there was no transaction
    stopped: bool


class _Told(NamedTuple):
    """What one recorder has told, since its process began."""

    claims: float
    transactions: float
    seconds: float
    stopped: bool

    def since(self, before: "_Told | None") -> "_Told":
        if before is None or self.claims < before.claims or self.transactions < before.transactions:
            return self  # it has begun after the look before
        return _Told(
            self.claims - before.claims,
            self.transactions - before.transactions,
            self.seconds - before.seconds,
            self.stopped,
        )


class Throughput:
    """Remembers the look before. For one thread."""

    def __init__(
        self,
        read: Callable[[str], str] | None = None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`read` returns what an address answers; may raise OSError or ValueError."""
        self._read = read or (lambda url: reading.read(url, ANSWER_SECONDS))
        self._clock = clock
        self._before: dict[str, _Told] = {}
        self._looked_at: float | None = None

    def measure(self, urls: Iterable[str]) -> Pace:
        """Ask every recorder. Never raises; blocks half a second for each that is silent."""
        told = {url: found for url in urls if (found := self._told(url)) is not None}
        now, before = self._clock(), self._looked_at
        done = [each.since(self._before.get(url)) for url, each in told.items()]
        # A silent one keeps what it told: once it answers again, only the difference counts.
        self._before |= told
        self._looked_at = now
        stopped = any(each.stopped for each in told.values())
        if before is None or now <= before or not told:
            return Pace(now, len(told), None, None, stopped)
        transactions = sum(each.transactions for each in done)
        return Pace(
            now,
            len(told),
            sum(each.claims for each in done) / (now - before),
            sum(each.seconds for each in done) / transactions if transactions else None,
            stopped,
        )

    def _told(self, url: str) -> _Told | None:
        try:
            return _parsed(self._read(url))
        except (OSError, ValueError):
            return None


def _parsed(text: str) -> _Told:
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    transaction = catalogue.TRANSACTION.name
    return _Told(
        sums.get(catalogue.RECORDED.name, 0.0),
        sums.get(f"{transaction}_count", 0.0),
        sums.get(f"{transaction}_sum", 0.0),
        sums.get(catalogue.RECORDER_STOPPED.name, 0.0) > 0,
    )
