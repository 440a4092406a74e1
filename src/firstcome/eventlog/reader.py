"""Reads a whole topic once, from its oldest record to the end that it had at the start.

For the check of the laws. It joins no consumer group and commits nothing, so it takes
nothing from the recorders. What is appended while it reads is left for the next reading.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from firstcome.errors import LogUnavailable
from firstcome.eventlog.client_errors import patiently
from firstcome.settings import KafkaSettings

REPLY_TIMEOUT_SECONDS = 10.0
SILENCE_SECONDS = 15.0  # without any record although the end is not reached
RECORDS_FETCHED = 2000


class Record(NamedTuple):
    """One record of the log."""

    partition: int
    offset: int
    value: bytes | None


def read_all(settings: KafkaSettings, topic: str) -> Iterator[Record]:
    """Yield every record of a topic, ordered within its partition only.

    Blocks between records; bounded memory. Raises LogUnavailable when a broker is silent
    or the topic does not exist.
    """
    consumer = _consumer(settings)
    try:
        bounds = _bounds(consumer, topic)
        ends = {number: end for number, (first, end) in bounds.items() if end > first}
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in ends])
        yield from _records(consumer, ends)
    except KafkaException as error:
        raise LogUnavailable(f"Kafka gave no answer: {error.args[0]}") from error
    finally:
        consumer.close()


def is_whole(settings: KafkaSettings, topic: str) -> bool:
    """Return whether the topic still holds its oldest records. Raises LogUnavailable."""
    consumer = _consumer(settings)
    try:
        return not any(first for first, _ in _bounds(consumer, topic).values())
    except KafkaException as error:
        raise LogUnavailable(f"Kafka gave no answer: {error.args[0]}") from error
    finally:
        consumer.close()


def _bounds(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """Return the first offset and the end of every partition."""
    found = consumer.list_topics(topic, timeout=REPLY_TIMEOUT_SECONDS).topics[topic]
    if found.error is not None:
        raise LogUnavailable(
            f"the topic {topic} cannot be read ({found.error}): run `firstcome up`, "
            "or set kafka.topic_prefix to the one that the api writes to"
        )
    bounds = {}
    for number in found.partitions:
        partition = TopicPartition(topic, number)
        bounds[number] = patiently(
            partial(consumer.get_watermark_offsets, partition, timeout=REPLY_TIMEOUT_SECONDS),
            REPLY_TIMEOUT_SECONDS,
        )
    return bounds


def _consumer(settings: KafkaSettings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            # Never joined: librdkafka wants a name.
            "group.id": f"{settings.group_id}-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 16_384,
        }
    )


def _records(consumer: Consumer, ends: dict[int, int]) -> Iterator[Record]:
    left = dict(ends)
    heard = time.monotonic()
    while left:
        for message in consumer.consume(RECORDS_FETCHED, timeout=0.2):
            heard = time.monotonic()
            number, offset = message.partition(), message.offset()
            error = message.error()
            if number is None or offset is None:
                raise KafkaException(error)
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                left.pop(number, None)
                continue
            if offset < ends[number]:
                yield Record(number, offset, message.value())
            if offset >= ends[number] - 1:
                left.pop(number, None)
        if time.monotonic() - heard > SILENCE_SECONDS:
            raise LogUnavailable(
                f"Kafka sent nothing for {SILENCE_SECONDS:.0f} s; the end of partitions "
                f"{sorted(left)} was not reached, so the log was not read in full"
            )
