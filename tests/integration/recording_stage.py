"""A log and its recorders, for the tests of recording."""

import time
from collections.abc import Callable

from confluent_kafka import Producer

from firstcome import postgres
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.recording import Recording
from firstcome.issuance.settled import Settled
from firstcome.model import CampaignId
from firstcome.settings import Settings

TIMEOUT_SECONDS = 30.0
Ranges = dict[tuple[CampaignId, int], list[tuple[int, int, int]]]


class Scene:
    """One test's log and its recorders."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.admin = LogAdmin(settings.kafka)
        self.admin.create_topics()
        self.settled: list[Ranges] = []
        self._topic = topics.issuance_requested(settings.kafka)
        self._producer = Producer(
            {"bootstrap.servers": settings.kafka.bootstrap_servers, "linger.ms": 0}
        )

    def append(self, *values: bytes, partition: int = 0) -> None:
        """Append records and wait for their acknowledgement."""
        for value in values:
            self._producer.produce(self._topic, value, partition=partition)
        assert self._producer.flush(10) == 0

    def recording(self, connect: Callable[[], postgres.Connection] | None = None) -> Recording:
        """Return a new member of the group."""
        opens = connect or (lambda: postgres.connect(self.settings.postgres))
        return Recording(
            self.settings.kafka,
            self.settings.recorder,
            Recorder(opens, self.settings.recorder),
            self._settle,
        )

    def _settle(self, settled: Settled) -> None:
        if ranges := settled.coalesced():
            self.settled.append(ranges)


def work(*recordings: Recording, until: Callable[[], bool]) -> None:
    """Let recorders work in turn until something holds."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not until():
        assert time.monotonic() < deadline, [each.assigned for each in recordings]
        for recording in recordings:
            recording.run_once()
