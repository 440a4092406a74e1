"""Relays for tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread

from firstcome import postgres
from firstcome.eventlog.consumer import Consumer
from firstcome.eventlog.emitter import Emitter
from firstcome.eventlog.groups import confirmers
from firstcome.postgres.replication import SILENCE_SECONDS
from firstcome.relay.confirming import Confirmer
from firstcome.relay.outbox import Outbox, Range
from firstcome.relay.polling import PollingRelay
from firstcome.relay.preparation import Preparation
from firstcome.relay.slot import PUBLICATIONS
from firstcome.relay.wal import WalRelay
from firstcome.settings import Settings
from tests.integration.issuing import Issuing

STREAM = "test-relay-stream"


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


def wal_of(
    settings: Settings, *, emitter: Emitter | None = None, silence_seconds: float = SILENCE_SECONDS
) -> WalRelay:
    """Return a relay that follows the write-ahead log, and has not begun."""
    return WalRelay(
        settings.relay,
        partial(postgres.connect, settings.postgres, name="test-relay"),
        partial(
            postgres.ReplicationStream,
            settings.postgres,
            settings.relay.slot_of("wal"),
            PUBLICATIONS["wal"],
            name=STREAM,
            silence_seconds=silence_seconds,
        ),
        emitter or Emitter(settings.kafka, tells_each=True),
    )


@contextmanager
def working(relay: PollingRelay | WalRelay | Confirmer, *, wait: bool = True) -> Iterator[None]:
    """Let a relay run beside the test, from when it is ready."""
    stop, ready = Event(), Event()
    thread = Thread(target=relay.run, args=(stop, ready.set), daemon=True)
    thread.start()
    try:
        assert not wait or ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def slot_of(settings: Settings) -> Iterator[Settings]:
    """Return settings with a slot of their own; it is gone afterwards, whoever reads it."""
    name = settings.kafka.topic_prefix.replace("-", "_")
    relay = settings.relay.model_copy(update={"mode": "wal", "slot": name})
    try:
        yield settings.model_copy(update={"relay": relay})
    finally:
        with Issuing(settings.postgres) as issuing:
            issuing.drop_slot(name)


def confirmer_of(settings: Settings) -> Confirmer:
    """Return a confirmer that has not joined its group yet."""
    # A group of this test alone, as the topic is.
    group = confirmers(settings.kafka, f"{settings.kafka.group_id}-relay")
    return Confirmer(
        settings.relay,
        partial(postgres.connect, settings.postgres),
        partial(Consumer, settings.kafka, group=group),
    )


@contextmanager
def confirming(settings: Settings) -> Iterator[Confirmer]:
    """Lend one."""
    relay = confirmer_of(settings)
    yield relay
    relay.close()


def tell(settings: Settings, *ranges: Range) -> None:
    """Publish the events of some positions and note nothing, as Kafka Connect does."""
    emitter, until = Emitter(settings.kafka), time.monotonic() + 10
    with postgres.connect(settings.postgres) as connection:
        emitter.hand_over(Outbox(settings.relay).events(connection, ranges), until)
    emitter.flush(until)
    emitter.close()


def preparation(settings: Settings) -> Preparation:
    """Return an operator's commands."""
    return Preparation(settings.relay, "wal", partial(postgres.connect, settings.postgres))


def work(relay: WalRelay, until: Callable[[], bool]) -> int:
    """Run a relay until something is so; return how many events it has handed over."""
    handed, deadline = 0, time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline, f"{handed} events were handed over"
        handed += relay.run_once()
        time.sleep(0.005)
    return handed


def begun(relay: WalRelay) -> WalRelay:
    """Let a relay follow the log."""
    work(relay, lambda: relay.follows)
    return relay
