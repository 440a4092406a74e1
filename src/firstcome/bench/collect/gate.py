"""What Redis says of itself: memory and commands."""

from firstcome.bench.collect.collector import Rates, Values
from firstcome.errors import GateUnavailable
from firstcome.gate.address import info
from firstcome.gate.session import GateSession
from firstcome.settings import RedisSettings


class Redis:
    """One session that is opened anew after a failure."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._session: GateSession | None = None
        self._rates = Rates()

    def read(self) -> Values:
        """Look once. Raises GateUnavailable."""
        memory, stats = (info(reply) for reply in self.ask(("INFO", "memory"), ("INFO", "stats")))
        values: Values = {"redis_memory_bytes": {"": float(memory["used_memory"])}}
        counts = {"commands": float(stats["total_commands_processed"])}
        for rate in self._rates.since_last(counts).values():
            values["redis_commands_per_second"] = {"": rate}
        return values

    def ask(self, *commands: tuple[str, ...]) -> list[object]:
        """Return the replies. Raises GateUnavailable."""
        if self._session is None:
            self._session = GateSession.open(self._settings)
        try:
            return self._session.pipeline(commands)
        except GateUnavailable:
            self.close()
            raise

    def close(self) -> None:
        """End the session. Idempotent."""
        if self._session is not None:
            self._session.close()
            self._session = None
