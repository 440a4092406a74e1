"""Poll records as a member of a consumer group, and commit offsets after the rows.

Path: eventlog.kafka -> [eventlog.consumer] -> issuance.recorder
Beside it: the topic of issued coupons -> [eventlog.consumer] -> relay.confirming

Offsets are committed only for what the caller has called done, never for what was
merely polled. Between a poll and `done` the caller holds the records; partitions
that leave the group meanwhile are reported, their records belong to another member.
It does not promise that a record is polled once: at least once.

A member whom the brokers refuse for good, such as one of a group that they have lost, would be
silent from then on. A new one takes its place.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from firstcome import failpoints
from firstcome.errors import LogUnavailable
from firstcome.eventlog.client_errors import is_fatal
from firstcome.eventlog.groups import Group, consumer_options, recorders
from firstcome.eventlog.issued import Headers
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.settings import KafkaSettings

log = get_logger()

# A member who is refused for good is followed by so many, each after a longer pause.
RENEWALS_MAX = 5
RENEWAL_PAUSE_SECONDS = 0.5


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
        self._settings = settings
        self._group = group or recorders(settings)
        self._on_dropped = on_dropped
        self._assigned: set[Partition] = set()
        self._is_paused = False
        self._next: dict[Partition, int] = {}  # done, not yet known to be committed
        self._renewals = 0  # since partitions were assigned last
        self._consumer = self._joining()

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions that this member reads now."""
        return frozenset(self._assigned)

    def poll(self, records_max: int, timeout_seconds: float) -> list[Polled]:
        """Return what has arrived when `records_max` are there or the time is up.

        While paused nothing arrives, but the place in the group is kept. Raises
        LogUnavailable when the brokers refuse every member that we send.
        """
        try:
            messages = self._consumer.consume(records_max, timeout_seconds)
        except (KafkaException, RuntimeError) as error:
            if not is_fatal(error):
                raise LogUnavailable(f"the log cannot be polled: {error}", certain=True) from error
            self._renew(str(error))
            return []
        polled: list[Polled] = []
        for message in messages:
            refusal = message.error()
            if refusal is None:
                polled.append(_polled(message))
            elif is_fatal(refusal):
                self._renew(refusal.str())
                return []  # what came before it belongs to the next owner, who may be ourselves
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

    def _joining(self) -> confluent_kafka.Consumer:
        """Return a new member of the group."""
        consumer = confluent_kafka.Consumer(
            consumer_options(self._settings)
            | {
                "group.id": self._group.group_id,
                "client.id": self._group.client_id,
                "error_cb": _report_error,
                "on_commit": self._committed,
            },
            logger=logging.getLogger("librdkafka"),
        )
        consumer.subscribe(
            [self._group.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        return consumer

    def _renew(self, reason: str) -> None:
        """Let a new member take the place of one that is finished for good.

        Raises LogUnavailable when a few have been refused one after the other.
        """
        with suppress(KafkaException, RuntimeError):
            self._consumer.close()
        lost, self._assigned = self._assigned, set()
        self._next.clear()
        self._on_dropped(lost)
        if self._renewals == RENEWALS_MAX:
            raise LogUnavailable(f"the log cannot be polled: {reason}", certain=True)
        time.sleep(RENEWAL_PAUSE_SECONDS * self._renewals)
        self._renewals += 1
        self._consumer = self._joining()
        catalogue.REBALANCES.add(1)
        log.error("member_renewed", reason=reason, renewals=self._renewals)

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
        self._renewals = 0
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
