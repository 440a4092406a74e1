"""The sweeper: it finishes what the path has dropped, and keeps the gates alive."""

from functools import partial

from firstcome import postgres
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin
from firstcome.eventlog.publisher import Publisher
from firstcome.gate.session import GateSession
from firstcome.issuance.publication import EVENT_TYPE, SOURCE, Publication
from firstcome.issuance.rebuilder import Rebuilder, RunOnce
from firstcome.issuance.sweeper import Sweeper
from firstcome.lifetime import begin, beside, stop_on_signals
from firstcome.logs import get_logger
from firstcome.processes.parts import LOG_ANSWER_SECONDS, recorder_of
from firstcome.rebuild import Rebuild
from firstcome.settings import Settings

STOP_SECONDS = 5.0  # a rebuild that a stop has interrupted has tidied up by then
log = get_logger()


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


def _publication(settings: Settings) -> Publication:
    topic = topics.dead_letters(settings.kafka)
    return Publication(
        partial(postgres.connect, settings.postgres, name="firstcome-publication"),
        Publisher(settings.kafka, topic, EVENT_TYPE, SOURCE),
        settings.sweeper.tick_seconds,
    )
