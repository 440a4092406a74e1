"""The recorder: what the logs of the engines carry becomes rows."""

import os
import socket
from functools import partial
from secrets import token_hex
from time import monotonic

from firstcome import postgres
from firstcome.gate.session import GateSession
from firstcome.issuance.queue import QueueRecording
from firstcome.issuance.recording import Recording
from firstcome.issuance.settling import Settling
from firstcome.lifetime import begin, beside, calm_collector, stop_on_signals
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.processes.parts import recorder_of
from firstcome.settings import Settings

ASSIGNMENT_SECONDS = 10.0  # a recorder without partitions is a spare, and ready all the same
log = get_logger()


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
