"""What api processes say of claims that the database refused: lock time-outs, by their metrics.

PostgreSQL counts deadlocks and no lock time-outs; the engine `direct` counts both itself.
"""

from collections.abc import Callable, Iterable

from prometheus_client.parser import text_string_to_metric_families

from firstcome.bench.collect.collector import Values
from firstcome.metrics import catalogue, reading

ANSWER_SECONDS = 0.5  # on loopback; one that stands still must not hold the sample up


class Refusals:
    """Asks every api process."""

    def __init__(
        self, urls: Callable[[], Iterable[str]], read: Callable[[str], str] | None = None
    ) -> None:
        """`urls`: where they tell their metrics; asked once. `read` returns what one tells."""
        self._urls = list(urls())
        self._read = read or (lambda url: reading.read(url, ANSWER_SECONDS))

    def read(self) -> Values:
        """Look once; nothing when one does not answer: a sum of some would be a wrong one."""
        try:
            told = [self._read(url) for url in self._urls]
        except (OSError, ValueError):
            return {}
        return {"lock_timeouts_total": {"": sum(map(_lock_timeouts, told))}} if told else {}

    def close(self) -> None:
        """Nothing is held."""


def _lock_timeouts(text: str) -> float:
    """Return the counter's value; 0 before the first one."""
    return sum(
        (
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == catalogue.DIRECT_REFUSALS.name
            and sample.labels["kind"] == catalogue.LOCK_TIMEOUT
        ),
        0.0,
    )
