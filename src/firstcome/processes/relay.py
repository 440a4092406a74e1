"""The relay: it tells other systems of issued coupons, in one of three modes."""

import os
from collections.abc import Callable
from functools import partial

from firstcome import postgres
from firstcome.eventlog.consumer import Consumer
from firstcome.eventlog.emitter import Emitter
from firstcome.eventlog.groups import confirmers
from firstcome.lifetime import begin, calm_collector, stop_on_signals
from firstcome.logs import get_logger
from firstcome.relay.confirming import Confirmer
from firstcome.relay.polling import PollingRelay
from firstcome.relay.preparation import Preparation
from firstcome.relay.slot import PUBLICATIONS, Mode
from firstcome.relay.wal import WalRelay
from firstcome.settings import Settings

RELAY_SPARE_SECONDS = 2.0
PREPARE_SECONDS = 60.0
log = get_logger()


def serve_relay(settings: Settings) -> None:
    """Tell other systems of issued coupons, until SIGTERM."""
    begin(settings, "relay")
    stop = stop_on_signals()
    os.nice(settings.relay.niceness)
    made: dict[str, Callable[[Settings], PollingRelay | WalRelay | Confirmer]] = {
        "polling": _polling_relay,
        "wal": _wal_relay,
        "debezium": _confirmer,
    }
    relay = made[settings.relay.mode](settings)
    calm_collector()
    relay.run(stop, lambda: log.info("ready"))


def preparation_of(settings: Settings, mode: Mode) -> Preparation:
    """Return the commands on a relay's replication slot."""
    # A slot begins when all transactions that are open then have ended.
    patient = postgres.Timeouts(
        statement_seconds=PREPARE_SECONDS,
        lock_seconds=PREPARE_SECONDS,
        transaction_seconds=PREPARE_SECONDS,
    )
    connect = partial(postgres.connect, settings.postgres, name="firstcome-cli", timeouts=patient)
    return Preparation(settings.relay, mode, connect)


def _polling_relay(settings: Settings) -> PollingRelay:
    return PollingRelay(
        settings.relay,
        _relay_session(settings),
        partial(postgres.Listener, settings.postgres, name="firstcome-relay-listener"),
        Emitter(settings.kafka),
    )


def _confirmer(settings: Settings) -> Confirmer:
    group = confirmers(settings.kafka, settings.relay.group_id)
    join = partial(Consumer, settings.kafka, group=group)
    return Confirmer(settings.relay, _relay_session(settings), join)


def _wal_relay(settings: Settings) -> WalRelay:
    stream = partial(
        postgres.ReplicationStream,
        settings.postgres,
        settings.relay.slot_of("wal"),
        PUBLICATIONS["wal"],
        name="firstcome-relay-stream",
    )
    emitter = Emitter(settings.kafka, tells_each=True)
    return WalRelay(settings.relay, _relay_session(settings), stream, emitter)


def _relay_session(settings: Settings) -> Callable[[], postgres.Connection]:
    # It waits for brokers in its transactions; a server ends one that is idle for half its time.
    patient = postgres.Timeouts(
        transaction_seconds=2 * settings.relay.acknowledge_timeout_seconds + RELAY_SPARE_SECONDS
    )
    return partial(postgres.connect, settings.postgres, name="firstcome-relay", timeouts=patient)
