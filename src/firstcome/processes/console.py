"""The console: the operators' port, and what is watched for it."""

import asyncio
from functools import partial
from threading import Event

import uvloop

from firstcome import postgres
from firstcome.campaigns import Campaigns
from firstcome.console.process import ConsoleProcess
from firstcome.eventlog.admin import LogAdmin
from firstcome.lifetime import begin, beside
from firstcome.metrics.pauses import watch_loop
from firstcome.processes.parts import codes_of, dead_letters_of, recorder_of
from firstcome.processes.readiness import say_ready_once
from firstcome.rebuild import Progress, Rebuild
from firstcome.settings import Settings


def serve_console(settings: Settings) -> None:
    """Answer the operators' port, until SIGTERM."""
    begin(settings, "console")
    connect = partial(postgres.connect, settings.postgres, name="firstcome-console")
    campaigns = Campaigns(connect, codes_of(settings).code)

    def rebuild(stop: Event, progress: Progress) -> Rebuild:
        return Rebuild(settings, LogAdmin(settings.kafka), recorder_of(settings), stop, progress)

    process = ConsoleProcess(settings, connect, campaigns, dead_letters_of(settings), rebuild)
    console = process.server

    async def serve() -> None:
        ready = asyncio.create_task(say_ready_once(lambda: _none_if(console.started)))
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


async def _none_if(done: bool) -> str | None:
    return None if done else "starting"
