"""The parts of the console's process, put together.

Called by the composition root, which gives what other processes and the command line use as well.
"""

from collections.abc import Callable
from functools import partial
from threading import Event

from firstcome import postgres
from firstcome.campaigns import Campaigns
from firstcome.console.app import ConsoleParts
from firstcome.console.archive import Archive
from firstcome.console.audit import AuditTrail
from firstcome.console.lag import LagWatch
from firstcome.console.live import Live
from firstcome.console.overview import Overview
from firstcome.console.people import People
from firstcome.console.rebuilds import Rebuilder, Rebuilds
from firstcome.console.sampler import Sampler
from firstcome.console.server import server
from firstcome.console.told import ToldBy
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate.session import GateSession
from firstcome.issuance.dead_letters import DeadLetters
from firstcome.settings import Settings

# The brokers answer within this or count as away: the sampler has other work to do.
LOG_ANSWER_SECONDS = 2.0


class ConsoleProcess:
    """`server` answers; `sampler` and `told` want a thread each. Nothing runs yet."""

    def __init__(
        self,
        settings: Settings,
        connect: Callable[[], postgres.Connection],
        campaigns: Campaigns,
        dead_letters: DeadLetters,
        make_rebuild: Callable[[Event, Callable[[str], None]], Rebuilder],
    ) -> None:
        """Connect to nothing."""
        open_gate = partial(GateSession.open, settings.redis)
        events = LogAdmin(settings.kafka, timeout_seconds=LOG_ANSWER_SECONDS)
        lag = LagWatch(events.log_ends, events.recorded_up_to)
        overview = Overview(connect, open_gate, lag.read)
        self.told = ToldBy(settings.console, lambda: live.watchers > 0)
        live = Live(lambda: self.told.latest, settings.console.watchers_max)
        self.sampler = Sampler(
            overview, connect, open_gate, live.look, settings.console.disk_folders
        )
        audit = AuditTrail(connect)
        self.rebuilds = Rebuilds(campaigns, audit, make_rebuild)
        self.server = server(
            ConsoleParts(
                settings=settings.console,
                campaigns=campaigns,
                overview=overview,
                dead_letters=dead_letters,
                people=People(connect, open_gate),
                audit=audit,
                archive=Archive(campaigns, open_gate),
                rebuilds=self.rebuilds,
                live=live,
            )
        )
        # A stream must not hold a stop up.
        live.stopping = lambda: self.server.should_exit
