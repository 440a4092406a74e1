"""All examinations, one after the other; an engine that is away is a finding, not an end."""

from collections.abc import Callable, Iterator

from firstcome.doctor import gate, log, machine
from firstcome.doctor.database import Database
from firstcome.doctor.finding import Finding, State
from firstcome.errors import Unavailable
from firstcome.settings import Settings


class Doctor:
    """Examines what a drop stands on. Blocks for a few seconds where an engine is silent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def examine(self) -> Iterator[Finding]:
        """Yield findings as they are made. Raises nothing for an engine that is away."""
        yield from machine.examine(self._settings)
        epochs: dict[int, int] = {}
        yield from _present("postgres", lambda: self._database(epochs))
        yield from _present("redis", lambda: gate.examine(self._settings, epochs))
        yield from _present("kafka", lambda: log.examine(self._settings))

    def _database(self, epochs: dict[int, int]) -> Iterator[Finding]:
        with Database(self._settings) as database:
            yield from database.examine()
            epochs.update(database.epochs())


def _present(engine: str, examine: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from examine()
    except Unavailable as error:
        meaning = "nothing about it could be examined"
        advice = f"start it, or correct {engine}'s address in the settings"
        yield Finding(engine, State.AWAY, str(error), meaning, advice)
