"""The log seen from outside: its topics, its ends, and how far the recorders have come.

For migrate, doctor, sweeper and rebuild. Blocking; a broker that does not answer
in time is LogUnavailable. Offsets are per partition: the next one to be written,
and the next one to be recorded.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import cached_property, partial
from typing import TypeVar

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from firstcome.errors import LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.client_errors import code_of, patiently
from firstcome.settings import KafkaSettings

Offsets = dict[int, int]  # partition -> offset

REPLY_TIMEOUT_SECONDS = 10.0
# The observer says so by what it remembers of the topic, without asking a broker: of one that
# was starting, or from before partitions were added. It would go on so for a quarter of an hour.
_OUTDATED = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC)
T = TypeVar("T")


class LogAdmin:
    """Asks the brokers; keeps its client, whose answers die with it."""

    def __init__(
        self, settings: KafkaSettings, *, timeout_seconds: float = REPLY_TIMEOUT_SECONDS
    ) -> None:
        self._settings = settings
        self._timeout = timeout_seconds
        self._topic = topics.issuance_requested(settings)
        self._options: dict[str, str | int | float | bool] = {
            "bootstrap.servers": settings.bootstrap_servers,
            "client.id": "firstcome-admin",
            "socket.timeout.ms": round(timeout_seconds * 1000),
            "reconnect.backoff.max.ms": 1000,
            "log_level": 3,
        }
        self._client = AdminClient(self._options, logger=logging.getLogger("librdkafka"))

    @cached_property
    def _observer(self) -> Consumer:
        """Whom offsets are asked for: he names the recorders' group and never joins it.

        The admin client's requests for offsets abort the whole process when a broker dies while
        one is under way (librdkafka issues 3663 and 4605).
        """
        group = {"group.id": self._settings.group_id, "enable.auto.commit": False}
        return Consumer(self._options | group, logger=logging.getLogger("librdkafka"))

    def create_topics(self) -> list[str]:
        """Create the topics that do not exist yet and return their names. Idempotent.

        When it returns the brokers know them: a broker hears of a new topic after its creation.
        """
        wanted = [
            NewTopic(
                name,
                num_partitions=self._settings.partitions,
                replication_factor=self._settings.replication,
                config=self._topic_config(retention),
            )
            for name, retention in topics.retention_ms(self._settings).items()
        ]
        created = []
        for name, future in self._client.create_topics(
            wanted, operation_timeout=self._timeout, request_timeout=self._timeout
        ).items():
            try:
                future.result(self._timeout)
                created.append(name)
            except (KafkaException, TimeoutError) as error:
                if code_of(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._unavailable(f"topic {name} was not created", error) from error
        self._patiently("the new topics are not known", partial(self._require, created))
        return created

    def check_topics(self) -> list[str]:
        """Return what is wrong with the topics, one sentence each; an empty list: nothing."""
        found = self._metadata()
        faults: list[str] = []
        for name, retention in topics.retention_ms(self._settings).items():
            if name not in found:
                faults.append(f"topic {name} does not exist: run `firstcome migrate`")
                continue
            replicas = {len(part.replicas) for part in found[name].partitions.values()}
            if min(replicas, default=0) < self._settings.replication:
                faults.append(
                    f"topic {name} has {min(replicas, default=0)} replicas, "
                    f"kafka.replication asks for {self._settings.replication}"
                )
            faults += self._config_faults(name, self._topic_config(retention))
        return faults

    def log_ends(self) -> Offsets:
        """Return the end of each partition of the requests' topic."""
        return self._patiently("the log's end is not known", self._log_ends)

    def recorded_up_to(self) -> Offsets:
        """Return the offsets that the recorders' group has committed; 0: none yet."""
        return self._patiently("the recorders' offsets are not known", self._recorded_up_to)

    def lag(self) -> int:
        """Return how many records the recorders are behind."""
        recorded = self.recorded_up_to()
        return sum(max(0, end - recorded.get(part, 0)) for part, end in self.log_ends().items())

    def has_reached(self, ends: Mapping[int, int]) -> bool:
        """Return whether recorders have recorded everything below these ends of the log."""
        return has_reached(self.recorded_up_to(), ends)

    def _log_ends(self) -> Offsets:
        wanted = [TopicPartition(self._topic, number, OFFSET_END) for number in self._numbers()]
        return _offsets(self._observer.offsets_for_times(wanted, timeout=self._timeout))

    def _recorded_up_to(self) -> Offsets:
        wanted = [TopicPartition(self._topic, number) for number in self._numbers()]
        try:
            return _offsets(self._observer.committed(wanted, timeout=self._timeout))
        except KafkaException as error:
            if code_of(error) == KafkaError.GROUP_ID_NOT_FOUND:
                return {partition.partition: 0 for partition in wanted}
            raise

    def _require(self, names: Iterable[str]) -> None:
        found = self._metadata()
        if any(name not in found for name in names):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))

    def _patiently(self, meaning: str, ask: Callable[[], T]) -> T:
        try:
            return patiently(ask, self._timeout)
        except KafkaException as error:
            if code_of(error) in _OUTDATED:
                # The next question goes to a new one. Whoever still waits keeps the old one alive.
                self.__dict__.pop("_observer", None)
            raise self._unavailable(meaning, error) from error

    def _topic_config(self, retention_ms: int) -> dict[str, str]:
        return {
            "retention.ms": str(retention_ms),
            "min.insync.replicas": "2" if self._settings.replication >= 3 else "1",
            "unclean.leader.election.enable": "false",
        }

    def _config_faults(self, topic: str, wanted: Mapping[str, str]) -> list[str]:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        futures = self._client.describe_configs([resource], request_timeout=self._timeout)
        entries = self._result(futures[resource], f"the settings of {topic} are not known")
        return [
            f"topic {topic} has {key}={entries[key].value}, it should be {value}"
            for key, value in wanted.items()
            if key != "retention.ms" and entries[key].value != value
        ]

    def _metadata(self) -> dict[str, TopicMetadata]:
        try:
            found: dict[str, TopicMetadata] = self._client.list_topics(timeout=self._timeout).topics
        except KafkaException as error:
            raise self._unavailable("no broker answered", error) from error
        return found

    def _numbers(self) -> list[int]:
        found = self._metadata().get(self._topic)
        if found is None:
            raise LogUnavailable(
                f"topic {self._topic} does not exist: run `firstcome migrate`", certain=True
            )
        return sorted(found.partitions)

    def _result(self, future: "Future[T]", meaning: str) -> T:
        try:
            return future.result(self._timeout)
        except (KafkaException, TimeoutError) as error:
            raise self._unavailable(meaning, error) from error

    def _unavailable(self, meaning: str, error: Exception) -> LogUnavailable:
        servers, said = self._settings.bootstrap_servers, str(error) or "nothing in time"
        return LogUnavailable(f"{meaning}: Kafka at {servers} says {said}")


def has_reached(recorded: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Return whether every partition is recorded up to its end."""
    return all(recorded.get(partition, 0) >= end for partition, end in ends.items())


def _offsets(found: list[TopicPartition]) -> Offsets:
    """Return what was found; nothing committed yet is 0. Raises KafkaException."""
    for partition in found:
        if partition.error is not None:
            raise KafkaException(partition.error)
    return {partition.partition: max(0, partition.offset) for partition in found}
