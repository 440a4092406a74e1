"""What a recorder tells of its transactions, for whoever watches a drop.

Beside the path: issuance.recording, issuance.queue -> [issuance.tally] -> metrics
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from firstcome.issuance.batch import Batch, claims_in
from firstcome.issuance.transaction import Recorded
from firstcome.metrics import catalogue
from firstcome.model import Engine

RESULTS = ("issued", "replayed", "cancelled", "quarantined", "dead_lettered", "fenced")


class Tally:
    """Counts for one engine's recorder; for one thread."""

    def __init__(self, engine: Engine) -> None:
        self._read = catalogue.READ.of(engine)
        self._seconds = catalogue.TRANSACTION.of(engine)
        self._claims = catalogue.TRANSACTION_CLAIMS.of(engine)
        self._issued_after = catalogue.ISSUED_AFTER.of(engine)
        self._results = {result: catalogue.RECORDED.of(engine, result) for result in RESULTS}

    def read(self, records: int) -> None:
        """Count what was taken from the log."""
        self._read.value += records

    @contextmanager
    def transaction(self, batches: Sequence[Batch]) -> Iterator[Recorded]:
        """Measure one; what is merged into the lent result is counted when it has worked."""
        began, recorded = time.monotonic(), Recorded()
        yield recorded
        claims = claims_in(batches)
        self._seconds.observe(time.monotonic() - began)
        self._claims.observe(claims)
        for result, series in self._results.items():
            series.value += getattr(recorded, result)
        if recorded.issued == claims:
            # A replay was issued when nobody here looked at the clock.
            now = time.time()
            for batch in batches:
                event = batch.event
                self._issued_after.observe(max(0.0, now - event.requested_at), len(event.users))
