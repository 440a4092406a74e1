"""The composition root: which parts make each process, how it starts, drains and stops.

One colour per process: asyncio in api and console, a plain blocking loop in
recorder and sweeper. Every process logs `ready` once it can work, finishes what
it owes on SIGTERM, and then exits 0.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from secrets import token_hex
from threading import Event
from time import monotonic

import uvloop

from firstcome import failpoints, postgres
from firstcome.campaigns import CampaignDirectory, Campaigns
from firstcome.coupons import CouponCodes
from firstcome.errors import DatabaseUnavailable, InvalidSettings, LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin
from firstcome.eventlog.consumer import Consumer
from firstcome.eventlog.emitter import Emitter
from firstcome.eventlog.groups import confirmers
from firstcome.eventlog.kafka import Appender
from firstcome.eventlog.publisher import Publisher
from firstcome.gate.connection import GateConnection
from firstcome.gate.gate import Gate
from firstcome.gate.session import GateSession
from firstcome.gate.watcher import SettledWatcher
from firstcome.issuance.compensation import Compensation
from firstcome.issuance.dead_letters import DeadLetters
from firstcome.issuance.direct import Direct
from firstcome.issuance.engines import Engines, Way
from firstcome.issuance.intake import Intake, Log
from firstcome.issuance.publication import EVENT_TYPE, SOURCE, Publication
from firstcome.issuance.queue import JournalLog, QueueRecording
from firstcome.issuance.rebuilder import Rebuilder, RunOnce
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.recording import Recording
from firstcome.issuance.release import Release
from firstcome.issuance.settling import Settling
from firstcome.issuance.status import StatusReader
from firstcome.issuance.sweeper import Sweeper
from firstcome.lifetime import begin, beside, calm_collector, stop_on_signals
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.metrics.pauses import watch_loop
from firstcome.model import Engine
from firstcome.rebuild import Progress, Rebuild
from firstcome.relay.confirming import Confirmer
from firstcome.relay.polling import PollingRelay
from firstcome.relay.preparation import Preparation
from firstcome.relay.slot import PUBLICATIONS, Mode
from firstcome.relay.wal import WalRelay
from firstcome.settings import Settings, state_folder

log = get_logger()
READY_POLL_SECONDS = 0.02
# The brokers answer within this or count as away: the sweeper has other work to do.
LOG_ANSWER_SECONDS = 2.0
RELAY_SPARE_SECONDS = 2.0
STOP_SECONDS = 5.0  # a rebuild that a stop has interrupted has tidied up by then
PREPARE_SECONDS = 60.0
ASSIGNMENT_SECONDS = 10.0  # a recorder without partitions is a spare, and ready all the same


def serve_api(settings: Settings, listener: socket.socket) -> None:
    """Answer the public port on a listening socket, until SIGTERM."""
    begin(settings, "api")
    uvloop.run(_api(settings, listener))


def serve_console(settings: Settings) -> None:
    """Answer the operators' port, until SIGTERM."""
    # Litestar's import is paid by the two processes that need it.
    from firstcome.console.process import ConsoleProcess

    begin(settings, "console")
    connect = partial(postgres.connect, settings.postgres, name="firstcome-console")
    campaigns = Campaigns(connect, codes_of(settings).code)

    def rebuild(stop: Event, progress: Progress) -> Rebuild:
        return Rebuild(settings, LogAdmin(settings.kafka), recorder_of(settings), stop, progress)

    process = ConsoleProcess(settings, connect, campaigns, dead_letters_of(settings), rebuild)
    console = process.server

    async def serve() -> None:
        ready = asyncio.create_task(_say_ready_once(lambda: _none_if(console.started)))
        pauses = asyncio.create_task(watch_loop())
        await console.serve()
        ready.cancel()
        pauses.cancel()

    with (
        beside("sampler", process.sampler.run, Event()),
        beside("told", process.told.run, Event()),
    ):
        uvloop.run(serve())
    process.rebuilds.close()


def serve_recorder(settings: Settings) -> None:
    """Record what the log carries, until SIGTERM."""
    begin(settings, "recorder")
    stop = stop_on_signals()
    settling = Settling(partial(GateSession.open, settings.redis))
    recording = Recording(settings.kafka, settings.recorder, recorder_of(settings), settling.settle)
    catalogue.PARTITIONS.follow(lambda: len(recording.assigned))
    catalogue.RECORDER_STOPPED.follow(lambda: recording.stopped)
    patience = monotonic() + ASSIGNMENT_SECONDS
    while not (stop.is_set() or recording.assigned or monotonic() > patience):
        recording.run_once()
    log.info("ready", partitions=len(recording.assigned))
    calm_collector()
    with beside("queue", _queue_recording(settings).run, stop):
        recording.run(stop)
    settling.close()


def serve_sweeper(settings: Settings) -> None:
    """Finish what the path has dropped, and keep the gates alive, until SIGTERM."""
    begin(settings, "sweeper")
    stop = stop_on_signals()

    def rebuild() -> RunOnce:
        events = LogAdmin(settings.kafka, timeout_seconds=LOG_ANSWER_SECONDS)
        made = Rebuild(settings, events, recorder_of(settings), stop)
        return partial(made.run_once, only_stale=True)

    rebuilder = Rebuilder(rebuild)
    sweeper = Sweeper(
        settings,
        partial(postgres.connect, settings.postgres, name="firstcome-sweeper"),
        partial(GateSession.open, settings.redis),
        LogAdmin(settings.kafka, timeout_seconds=LOG_ANSWER_SECONDS),
        recorder_of(settings),
        rebuilder.begin,
    )
    sweeper.run_once()
    with beside("publication", _publication(settings).run, stop):
        # Whoever starts a stack wants its gates open.
        while not (stop.is_set() or rebuilder.wait(settings.sweeper.watch_seconds)):
            sweeper.run_once()
        if not stop.is_set():
            log.info("ready")
        sweeper.run(stop)
    rebuilder.wait(STOP_SECONDS)


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


def serve_autoscaler(settings: Settings, *, dry_run: bool = False) -> None:
    """Let recorders of the local stack come and go with their lag, until SIGTERM."""
    from firstcome.autoscaling.autoscaler import Autoscaler, LagSeen
    from firstcome.autoscaling.history import History
    from firstcome.autoscaling.latest import Latest
    from firstcome.console.lag import LagWatch
    from firstcome.console.overview import Overview
    from firstcome.local.folder import StackFolder
    from firstcome.local.stack import Stack

    begin(settings, "autoscaler")
    stop = stop_on_signals()
    connect = partial(postgres.connect, settings.postgres, name="firstcome-autoscaler")
    events = LogAdmin(settings.kafka, timeout_seconds=LOG_ANSWER_SECONDS)
    watch = LagWatch(events.log_ends, events.recorded_up_to)
    overview = Overview(connect, partial(GateSession.open, settings.redis), watch.read)

    def lag() -> LagSeen:
        try:
            report = overview.read()
        except DatabaseUnavailable:
            return LagSeen(None, None)
        return LagSeen(report.lag_records, report.under_way)

    folder = StackFolder(state_folder())
    stack = Stack(folder)
    stack.check_up()
    try:
        partitions = len(events.log_ends())
    except LogUnavailable:
        partitions = settings.kafka.partitions
    autoscaler = Autoscaler(
        settings.autoscaler,
        partitions,
        stack,
        lag,
        History(connect).note,
        Latest(folder.dry_run if dry_run else folder.decision, dry_run=dry_run).show,
        dry_run=dry_run,
    )
    log.info("ready", dry_run=dry_run)
    autoscaler.run(stop)


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


def dead_letters_of(settings: Settings) -> DeadLetters:
    """Return operators' commands on dead letters."""
    connect = partial(postgres.connect, settings.postgres, name="firstcome-dead-letters")
    return DeadLetters(connect, partial(GateSession.open, settings.redis))


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


def _queue_recording(settings: Settings) -> QueueRecording:
    open_session = partial(GateSession.open, settings.redis)
    return QueueRecording(
        settings.recorder,
        partial(postgres.connect, settings.postgres, name="firstcome-recorder"),
        open_session,
        recorder_of(settings),
        Settling(open_session),
        f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}",
    )


def _publication(settings: Settings) -> Publication:
    topic = topics.dead_letters(settings.kafka)
    return Publication(
        partial(postgres.connect, settings.postgres, name="firstcome-publication"),
        Publisher(settings.kafka, topic, EVENT_TYPE, SOURCE),
        settings.sweeper.tick_seconds,
    )


def rebuild_of(settings: Settings, progress: Progress) -> Rebuild:
    """Return a rebuild for the command line."""
    failpoints.watch(settings.failpoints.folder, "rebuild")
    events = LogAdmin(settings.kafka)
    return Rebuild(settings, events, recorder_of(settings), Event(), progress)


def recorder_of(settings: Settings) -> Recorder:
    """Return a recorder with a session of its own."""
    connect = partial(postgres.connect, settings.postgres, name="firstcome-recorder")
    return Recorder(connect, settings.recorder)


def codes_of(settings: Settings) -> CouponCodes:
    """Return the maker of coupon codes. Raises InvalidSettings without a key."""
    key = settings.coupons.code_key
    if key is None:
        raise InvalidSettings(
            "coupons.code_key (FIRSTCOME_COUPONS__CODE_KEY) is not set: coupon codes are derived "
            "with it. Set it to a secret of at least 32 bytes and never change it"
        )
    return CouponCodes(key.get_secret_value().encode())


async def _api(settings: Settings, listener: socket.socket) -> None:
    # Litestar's import is paid by the two processes that need it.
    from firstcome.api.auth import Authenticator
    from firstcome.api.parts import ApiParts, Condition
    from firstcome.api.server import server
    from firstcome.api.tally import follow

    pool = postgres.AsyncPool(settings.postgres)
    directory = CampaignDirectory(pool, settings.postgres.answer_timeout_seconds)
    connection = GateConnection(settings.redis, on_connected=lambda: log.info("redis_connected"))
    watcher = SettledWatcher(connection, settings.intake.waiters_max)

    sessions = postgres.Statements(settings.postgres, settings.direct)

    def gated(events: Log) -> tuple[Gate, Intake]:
        """One engine with a gate: all but the log is the same."""
        gate = Gate(connection, settings.intake, lambda verdicts: intake.judged(verdicts))
        parts = (watcher, Compensation(pool), Release(pool, connection), directory)
        intake = Intake(settings.intake, gate, events, *parts)
        return gate, intake

    appender = Appender(settings.kafka, settings.intake, lambda: intake.broker_away())
    gate, intake = gated(appender)
    _, queue = gated(JournalLog())
    ways: dict[Engine, Way] = {
        Engine.KAFKA: intake,
        Engine.QUEUE: queue,
        Engine.DIRECT: Direct(settings.direct, sessions, pool),
    }
    engines = Engines(ways, directory, settings.intake.queue_claims_max)
    authenticator = Authenticator(settings.auth)
    parts = ApiParts(
        intake=engines,
        statuses=StatusReader(gate, watcher, directory, settings.intake),
        directory=directory,
        codes=codes_of(settings),
        authenticator=authenticator,
        condition=lambda: Condition(
            is_draining=public.should_exit,
            redis_away=connection.run_id is None,
            kafka_away=appender.is_away,
        ),
        settings=settings,
    )
    follow(connection, appender, watcher, {"shared": pool, "direct": sessions})
    connection.start()
    appender.start()
    await authenticator.start()
    public = server(parts, [listener])
    ready = asyncio.create_task(_say_ready_once(partial(_missing, connection, appender)))
    catalogue.CONNECTIONS.follow(lambda: len(public.server_state.connections))
    watch = asyncio.create_task(_release_waiters(lambda: public.should_exit, watcher))
    pauses = asyncio.create_task(watch_loop())
    calm_collector()
    await public.serve()
    for task in (ready, watch, pauses):
        task.cancel()
    await engines.drain()
    lost = await appender.close(settings.api.drain_timeout_seconds)
    await connection.close()
    await pool.close()
    await sessions.close()
    log.info("stopped", reports_never_came=lost)


async def _missing(connection: GateConnection, appender: Appender) -> str | None:
    """What keeps a process that starts from taking claims of every engine."""
    if connection.run_id is None:
        return "no connection to Redis: claims are refused, nothing is lost"
    if appender.is_away:
        return "the Kafka broker is away: claims are refused, nothing is lost"
    return None


async def _none_if(done: bool) -> str | None:
    return None if done else "starting"


async def _say_ready_once(missing: Callable[[], Awaitable[str | None]]) -> None:
    while await missing() is not None:
        await asyncio.sleep(READY_POLL_SECONDS)
    log.info("ready")


async def _release_waiters(stopping: Callable[[], bool], watcher: SettledWatcher) -> None:
    """A long poll must not hold a stop up."""
    while not stopping():
        await asyncio.sleep(0.1)
    watcher.close()
