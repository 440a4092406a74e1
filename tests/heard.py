"""What a consumer of the events' topic hears."""

import time
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from firstcome.eventlog import topics
from firstcome.eventlog.issued import decode
from firstcome.settings import KafkaSettings


class Heard(NamedTuple):
    """One record, as it came."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: dict[str, str]
    campaign_id: int
    position: int


def heard(settings: KafkaSettings, *, at_least: int = 0, seconds: float = 30.0) -> list[Heard]:
    """Return every record of the topic, in the order of each partition.

    Waits until there are `at_least` so many.
    """
    topic = topics.coupon_issued(settings)
    found: list[Heard] = []
    until = time.monotonic() + seconds
    while True:
        try:
            found = _all(settings.bootstrap_servers, topic)
        except KafkaException:  # a topic that was made a moment ago
            assert time.monotonic() < until
        else:
            if len(found) >= at_least:
                return found
        assert time.monotonic() < until, f"{len(found)} of {at_least} events came"
        time.sleep(0.1)


def _all(servers: str, topic: str) -> list[Heard]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "nobody"})
    try:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {}
        for number in numbers:
            ends[number] = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
        found: list[Heard] = []
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        wanted = sum(end - first for first, end in ends.values())
        while len(found) < wanted:
            for message in consumer.consume(min(500, wanted - len(found)), timeout=1.0):
                assert message.error() is None
                found.append(_heard(message))
        return found
    finally:
        consumer.close()


def _heard(message: Message) -> Heard:
    event = decode(message.value())
    headers = {name: value.decode() for name, value in message.headers()}
    return Heard(
        *(message.topic(), message.partition(), message.key(), message.value(), headers),
        *(event.campaign_id, event.position),
    )
