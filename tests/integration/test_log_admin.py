"""The log from outside, on a real broker."""

import pytest
from confluent_kafka import Producer

from firstcome.errors import LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin, has_reached
from firstcome.settings import KafkaSettings, Settings

pytestmark = pytest.mark.integration


def test_log_admin_creates_topics_once_and_finds_nothing_wrong(settings: Settings) -> None:
    admin = LogAdmin(settings.kafka)
    assert len(admin.check_topics()) == 2
    assert sorted(admin.create_topics()) == sorted(topics.retention_ms(settings.kafka))
    assert admin.create_topics() == []
    assert admin.check_topics() == []
    asked = settings.kafka.model_copy(update={"replication": 3})
    faults = LogAdmin(asked).check_topics()
    assert [fault for fault in faults if "has 1 replicas" in fault]
    assert [fault for fault in faults if "min.insync.replicas=1, it should be 2" in fault]


def test_log_admin_knows_the_ends_and_how_far_the_recorders_are(settings: Settings) -> None:
    admin = LogAdmin(settings.kafka)
    admin.create_topics()
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers, "linger.ms": 0})
    for number in (0, 0, 4):
        producer.produce(topics.issuance_requested(settings.kafka), b"x", partition=number)
    assert producer.flush(10) == 0
    ends = admin.log_ends()
    assert ends == {number: {0: 2, 4: 1}.get(number, 0) for number in range(10)}
    assert admin.recorded_up_to() == dict.fromkeys(range(10), 0)
    assert admin.lag() == 3
    assert not admin.has_reached(ends)


def test_log_admin_says_what_to_do_when_the_topic_is_missing(settings: Settings) -> None:
    with pytest.raises(LogUnavailable, match="firstcome migrate"):
        LogAdmin(settings.kafka).log_ends()


def test_log_admin_gives_up_when_no_broker_answers() -> None:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    admin = LogAdmin(nowhere, timeout_seconds=0.5)
    for ask in (admin.create_topics, admin.log_ends, admin.recorded_up_to, admin.check_topics):
        with pytest.raises(LogUnavailable):
            ask()


def test_ends_are_reached_when_every_partition_is() -> None:
    assert has_reached({0: 5, 1: 2}, {0: 5, 1: 1, 2: 0})
    assert not has_reached({0: 5}, {0: 5, 1: 1})
