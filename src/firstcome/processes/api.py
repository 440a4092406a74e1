"""The api: the public port, and every engine's way of a claim."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from functools import partial

import uvloop

from firstcome import postgres
from firstcome.api.auth import Authenticator
from firstcome.api.parts import ApiParts, Condition
from firstcome.api.server import server
from firstcome.api.tally import follow
from firstcome.campaigns import CampaignDirectory
from firstcome.eventlog.kafka import Appender
from firstcome.gate.connection import GateConnection
from firstcome.gate.gate import Gate
from firstcome.gate.watcher import SettledWatcher
from firstcome.issuance.compensation import Compensation
from firstcome.issuance.direct import Direct
from firstcome.issuance.engines import Engines, Way
from firstcome.issuance.intake import Intake, Log
from firstcome.issuance.queue import JournalLog
from firstcome.issuance.release import Release
from firstcome.issuance.status import StatusReader
from firstcome.lifetime import begin, calm_collector
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.metrics.pauses import watch_loop
from firstcome.model import Engine
from firstcome.processes.parts import codes_of
from firstcome.processes.readiness import say_ready_once
from firstcome.settings import Settings

log = get_logger()


def serve_api(settings: Settings, listener: socket.socket) -> None:
    """Answer the public port on a listening socket, until SIGTERM."""
    begin(settings, "api")
    uvloop.run(_api(settings, listener))


async def _api(settings: Settings, listener: socket.socket) -> None:
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
    check_complete(ways)
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
    ready = asyncio.create_task(say_ready_once(partial(_missing, connection, appender)))
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


def check_complete(ways: Mapping[Engine, object]) -> None:
    """Refuse to start with an engine that campaigns may name and no claim could take."""
    if without := set(Engine) - set(ways):
        raise NotImplementedError(f"no way for claims of the engines {', '.join(sorted(without))}")


async def _missing(connection: GateConnection, appender: Appender) -> str | None:
    """What keeps a process that starts from taking claims of every engine."""
    if connection.run_id is None:
        return "no connection to Redis: claims are refused, nothing is lost"
    if appender.is_away:
        return "the Kafka broker is away: claims are refused, nothing is lost"
    return None


async def _release_waiters(stopping: Callable[[], bool], watcher: SettledWatcher) -> None:
    """A long poll must not hold a stop up."""
    while not stopping():
        await asyncio.sleep(0.1)
    watcher.close()
