"""The log from outside, on a real broker."""

from functools import partial

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from firstcome.drill.eventually import eventually
from firstcome.errors import LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin, has_reached
from firstcome.settings import KafkaSettings, Settings

pytestmark = pytest.mark.integration


def test_log_admin_creates_topics_once_and_finds_nothing_wrong(settings: Settings) -> None:
    admin = LogAdmin(settings.kafka)
    assert len(admin.check_topics()) == len(topics.retention_ms(settings.kafka))
    assert sorted(admin.create_topics()) == sorted(topics.retention_ms(settings.kafka))
    assert admin.create_topics() == []
    assert admin.check_topics() == []
    asked = settings.kafka.model_copy(update={"replication": 3})
    faults = LogAdmin(asked).check_topics()
    assert [fault for fault in faults if "has 1 replicas" in fault]
    assert [fault for fault in faults if "min.insync.replicas=1, it should be 2" in fault]


def test_log_admin_has_created_topics_when_the_brokers_know_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller says that a topic is there before a broker has heard of it."""
    admin, ignorant = LogAdmin(settings.kafka), [True, True, False]
    known = admin._metadata
    monkeypatch.setattr(admin, "_metadata", lambda: {} if ignorant.pop(0) else known())
    assert sorted(admin.create_topics()) == sorted(topics.retention_ms(settings.kafka))
    assert not ignorant


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


def test_log_admin_sees_partitions_that_were_added_since_it_asked_first(
    settings: Settings,
) -> None:
    """librdkafka keeps what it knows of a topic for a quarter of an hour, and says so of none."""
    admin = LogAdmin(settings.kafka, timeout_seconds=5.0)
    admin.create_topics()
    assert len(admin.log_ends()) == 10
    topic = topics.issuance_requested(settings.kafka)
    client = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    client.create_partitions([NewPartitions(topic, 12)])[topic].result(10)
    seen = eventually(
        "the new partitions", partial(ends_or_none, admin), lambda ends: len(ends) == 12
    )
    assert seen == dict.fromkeys(range(12), 0)


def ends_or_none(admin: LogAdmin) -> dict[int, int]:
    """Return the log's ends; none while they cannot be read."""
    try:
        return admin.log_ends()
    except LogUnavailable:
        return {}


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
