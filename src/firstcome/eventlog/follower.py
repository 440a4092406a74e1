"""Follows the topic of issued coupons, from its end or its beginning, without a consumer group.

For an operator's eyes: it commits nothing and takes nothing from anybody.
"""

from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from firstcome.errors import BadRecord, LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.issued import CouponIssued, decode
from firstcome.settings import KafkaSettings

REPLY_TIMEOUT_SECONDS = 10.0
RECORDS_FETCHED = 500


class Told(NamedTuple):
    """One record; `event` is None where it cannot be read."""

    partition: int
    offset: int
    event: CouponIssued | None


def follow(settings: KafkaSettings, *, from_beginning: bool) -> Iterator[Told]:
    """Yield events for ever, in order within a partition. Raises LogUnavailable."""
    topic = topics.coupon_issued(settings)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            # Never joined: librdkafka wants a name.
            "group.id": f"{settings.group_id}-follower",
            "enable.auto.commit": False,
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=REPLY_TIMEOUT_SECONDS).topics[topic]
        if found.error is not None:
            raise LogUnavailable(
                f"the topic {topic} cannot be read ({found.error}): run `firstcome migrate`"
            )
        partitions = [TopicPartition(topic, number) for number in found.partitions]
        for partition in partitions:
            partition.offset = OFFSET_BEGINNING
            if not from_beginning:
                _, partition.offset = consumer.get_watermark_offsets(
                    partition, timeout=REPLY_TIMEOUT_SECONDS
                )
        consumer.assign(partitions)
        while True:
            yield from _records(consumer)
    except KafkaException as error:
        raise LogUnavailable(f"Kafka gave no answer: {error.args[0]}") from error
    finally:
        consumer.close()


def _records(consumer: Consumer) -> Iterator[Told]:
    for message in consumer.consume(RECORDS_FETCHED, timeout=0.2):
        number, offset, error = message.partition(), message.offset(), message.error()
        if error is not None or number is None or offset is None:
            raise KafkaException(error)
        try:
            yield Told(number, offset, decode(message.value()))
        except BadRecord:
            yield Told(number, offset, None)
