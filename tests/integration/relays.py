"""Relays for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from firstcome import postgres
from firstcome.eventlog.emitter import Emitter
from firstcome.relay.polling import PollingRelay
from firstcome.settings import Settings


def polling_of(settings: Settings) -> PollingRelay:
    """Return a polling relay that has not looked yet."""
    return PollingRelay(
        settings.relay,
        partial(postgres.connect, settings.postgres),
        partial(postgres.Listener, settings.postgres, name="test-listener"),
        Emitter(settings.kafka),
    )


@contextmanager
def polling(settings: Settings) -> Iterator[PollingRelay]:
    """Lend one."""
    relay = polling_of(settings)
    yield relay
    relay.close()
