"""Poll records as a member of a consumer group, and commit offsets after the rows.

Path: eventlog.kafka -> [eventlog.consumer] -> issuance.recorder
Beside it: the topic of issued coupons -> [eventlog.consumer] -> relay.confirming

Offsets are committed only for what the caller has called done, never for what was
merely polled. Between a poll and `done` the caller holds the records; partitions
that leave the group meanwhile are reported, their records belong to another member.
It does not promise that a record is polled once: at least once.
"""

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from firstcome import failpoints
from firstcome.errors import LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.issued import Headers
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.settings import KafkaSettings

log = get_logger()

# How long a close may wait for the group's coordinator to take the last offsets.
CLOSE_TIMEOUT_MS = 5000


class Origin(NamedTuple):
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int


class Polled(NamedTuple):
    """One record as it came: a value of None or b"" is a heartbeat."""

    origin: Origin
    value: bytes | None
    headers: Headers | None = None


Partition = tuple[str, int]


class Group(NamedTuple):
    """Who reads a topic together."""

    group_id: str
    topic: str
    client_id: str


def recorders(settings: KafkaSettings) -> Group:
    """Return the group that records admitted batches."""
    return Group(settings.group_id, topics.issuance_requested(settings), "firstcome-recorder")


def confirmers(settings: KafkaSettings, group_id: str) -> Group:
    """Return the group that reads events for other systems back."""
    return Group(group_id, topics.coupon_issued(settings), "firstcome-relay")


def consumer_options(settings: KafkaSettings) -> dict[str, str | int | bool]:
    """Return librdkafka's options, each spelled out where its default is not what we rely on."""
    options: dict[str, str | int | bool] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        # A recorder that holds a batch keeps polling, so only a stuck one is silent so long.
        "max.poll.interval.ms": 60_000,
        "fetch.min.bytes": 1,
        "fetch.wait.max.ms": 50,
        # When the queue was full, fetch again at once instead of after a second.
        "fetch.queue.backoff.ms": 10,
        "queued.max.messages.kbytes": 16_384,
        "socket.keepalive.enable": True,
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "log_level": 3,
    }
    if settings.profile == "source":
        options |= {"max.poll.interval.ms": 300_000}
        return options | _classic(session_ms=30_000, heartbeat_ms=3000)
    if settings.group_protocol == "classic":
        return options | _classic(session_ms=10_000, heartbeat_ms=3000)
    # The broker keeps this protocol's times; the client's settings for them must be absent.
    return options | {"group.protocol": "consumer"}


def _classic(*, session_ms: int, heartbeat_ms: int) -> dict[str, str | int | bool]:
    return {
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": heartbeat_ms,
    }


class Consumer:
    """One member of the group. For one thread; create it in the process that uses it."""

    def __init__(
        self,
        settings: KafkaSettings,
        on_dropped: Callable[[set[Partition]], None] = lambda partitions: None,
        group: Group | None = None,
    ) -> None:
        """`on_dropped` hears, within `poll`, of partitions whose records are no longer ours.

        `group`: the recorders', if none is given.
        """
        group = group or recorders(settings)
        own = {"group.id": group.group_id, "client.id": group.client_id}
        self._on_dropped = on_dropped
        self._assigned: set[Partition] = set()
        self._is_paused = False
        self._next: dict[Partition, int] = {}  # done, not yet known to be committed
        self._commits_failed = 0
        self._consumer = confluent_kafka.Consumer(
            consumer_options(settings)
            | own
            | {"error_cb": _report_error, "on_commit": self._committed},
            logger=logging.getLogger("librdkafka"),
        )
        self._consumer.subscribe(
            [group.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions that this member reads now."""
        return frozenset(self._assigned)

    def poll(self, records_max: int, timeout_seconds: float) -> list[Polled]:
        """Return what has arrived when `records_max` are there or the time is up.

        While paused nothing arrives, but the place in the group is kept. Raises
        LogUnavailable when this member can never poll again: make a new one.
        """
        try:
            messages = self._consumer.consume(records_max, timeout_seconds)
        except (KafkaException, RuntimeError) as error:
            raise LogUnavailable(f"the log cannot be polled: {error}", certain=True) from error
        polled: list[Polled] = []
        for message in messages:
            refusal = message.error()
            if refusal is None:
                polled.append(_polled(message))
            elif refusal.fatal():
                raise LogUnavailable(f"the log cannot be polled: {refusal}", certain=True)
            else:
                log.warning("poll_refused", code=refusal.name(), reason=refusal.str())
        return polled

    def pause(self) -> None:
        """Poll nothing from here on, partitions that are yet to come included."""
        if not self._is_paused:
            self._is_paused = True
            self._consumer.pause(_partitions(self._assigned))

    def resume(self) -> None:
        """Poll again."""
        if self._is_paused:
            self._is_paused = False
            self._consumer.resume(_partitions(self._assigned))

    def done(self, polled: Iterable[Polled]) -> None:
        """Say that records need not be polled again; their offsets go with the next commit."""
        for record in polled:
            partition = (record.origin.topic, record.origin.partition)
            if partition in self._assigned:
                self._next[partition] = max(record.origin.offset + 1, self._next.get(partition, 0))

    def commit(self, *, wait: bool = False) -> None:
        """Commit the offsets of what is done; without `wait`, failures try again next time."""
        offsets, self._next = self._next, {}
        self._commit(offsets, wait=wait)

    def close(self) -> None:
        """Commit what is done and leave the group at once."""
        self.commit(wait=True)
        self._consumer.close()

    def _commit(self, offsets: dict[Partition, int], *, wait: bool) -> None:
        if not offsets:
            return
        wanted = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        lost = LogUnavailable("the reply of the offset commit was lost")
        try:
            failpoints.hit("before_offsets", lost=lost)
            if wait:
                self._consumer.commit(offsets=wanted, asynchronous=False)
            else:
                self._consumer.commit(offsets=wanted, asynchronous=True)
            failpoints.hit("after_offsets", lost=lost)
        except (KafkaException, LogUnavailable) as error:
            # The rows are there; whoever polls these records again finds replays.
            log.warning("commit_failed", reason=str(error))
            self._keep(offsets)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            log.warning("commit_failed", reason=str(error))
        self._keep(
            {
                (partition.topic, partition.partition): partition.offset
                for partition in partitions
                if (error or partition.error) and partition.offset >= 0
            }
        )

    def _keep(self, offsets: dict[Partition, int]) -> None:
        """Let offsets that were not committed go with the next commit.

        Otherwise a partition where nothing more arrives would look unrecorded for ever, and
        rebuild and sweeper wait for it.
        """
        for key, offset in offsets.items():
            if key in self._assigned:
                self._next[key] = max(offset, self._next.get(key, 0))

    def _on_assign(self, consumer: confluent_kafka.Consumer, given: list[TopicPartition]) -> None:
        consumer.incremental_assign(given)
        self._assigned |= _keys(given)
        if self._is_paused:
            consumer.pause(given)
        else:
            # A pause of an earlier time with us would have outlived their absence.
            consumer.resume(given)
        catalogue.REBALANCES.add(1)
        log.info("partitions_assigned", partitions=sorted(number for _, number in _keys(given)))

    def _on_revoke(self, consumer: confluent_kafka.Consumer, taken: list[TopicPartition]) -> None:
        keys = _keys(taken)
        done = {key: offset for key, offset in self._next.items() if key in keys}
        try:
            self._commit(done, wait=True)
        finally:
            self._drop(consumer, taken)
        catalogue.REBALANCES.add(1)
        log.info("partitions_revoked", partitions=sorted(number for _, number in keys))

    def _on_lost(self, consumer: confluent_kafka.Consumer, taken: list[TopicPartition]) -> None:
        self._drop(consumer, taken)
        catalogue.REBALANCES.add(1)
        log.warning("partitions_lost", partitions=sorted(number for _, number in _keys(taken)))

    def _drop(self, consumer: confluent_kafka.Consumer, taken: list[TopicPartition]) -> None:
        keys = _keys(taken)
        self._assigned -= keys
        for key in keys:
            self._next.pop(key, None)
        consumer.incremental_unassign(taken)
        self._on_dropped(keys)


def _origin(message: "Message[bytes, bytes]") -> Origin:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None  # noqa: S101, PT018 - polled without error
    return Origin(topic, partition, offset)


def _polled(message: "Message[bytes, bytes]") -> Polled:
    headers = message.headers()
    listed = headers if isinstance(headers, list) else None
    return Polled(_origin(message), message.value(), listed)


def _keys(partitions: Iterable[TopicPartition]) -> set[Partition]:
    return {(partition.topic, partition.partition) for partition in partitions}


def _partitions(keys: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*key) for key in keys]


def _report_error(error: KafkaError) -> None:
    log.warning("kafka_error", code=error.name(), reason=error.str(), fatal=error.fatal())
