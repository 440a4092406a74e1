"""The autoscaler: it lets recorders of the local stack come and go with their lag."""

from functools import partial

from firstcome import postgres
from firstcome.autoscaling.autoscaler import Autoscaler, LagSeen
from firstcome.autoscaling.history import History
from firstcome.autoscaling.latest import Latest
from firstcome.console.lag import LagWatch
from firstcome.console.overview import Overview
from firstcome.errors import DatabaseUnavailable, LogUnavailable
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate.session import GateSession
from firstcome.lifetime import begin, stop_on_signals
from firstcome.local.folder import StackFolder
from firstcome.local.stack import Stack
from firstcome.logs import get_logger
from firstcome.processes.parts import LOG_ANSWER_SECONDS
from firstcome.settings import Settings, state_folder

log = get_logger()


def serve_autoscaler(settings: Settings, *, dry_run: bool = False) -> None:
    """Let recorders of the local stack come and go with their lag, until SIGTERM."""
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
