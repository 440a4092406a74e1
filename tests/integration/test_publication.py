"""Dead letters reach their topic: at least once, under one id, and nobody waits for a broker."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from firstcome.errors import BadRecord
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin
from firstcome.eventlog.client_errors import patiently
from firstcome.eventlog.consumer import Origin
from firstcome.eventlog.publisher import Publisher
from firstcome.issuance.publication import (
    EVENT_TYPE,
    PAYLOAD_BYTES_MAX,
    SOURCE,
    Publication,
    Published,
)
from firstcome.settings import KafkaSettings, Settings
from tests.integration.claimed import batch
from tests.integration.letters_stage import (
    assert_laws_hold,
    at,
    claimed,
    ids,
    poisoned,
    recorded,
    seen,
)
from tests.integration.recovery_stage import Recovery, scaled
from tests.integration.test_dead_letters_without_rows import beyond, restock

pytestmark = pytest.mark.integration


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    """A drop of this test alone."""
    recovery = Recovery(scaled(settings))
    yield recovery
    recovery.close()


Publishing = Callable[..., Publication]


@pytest.fixture
def publication(drop: Recovery) -> Iterator[Publishing]:
    """Makes what the sweeper's process runs."""
    made: list[Publication] = []

    def make(kafka: KafkaSettings | None = None) -> Publication:
        topic = topics.dead_letters(drop.settings.kafka)
        publisher = Publisher(kafka or drop.settings.kafka, topic, EVENT_TYPE, SOURCE)
        made.append(Publication(drop.connect, publisher, 0.1))
        return made[-1]

    yield make
    for each in made:
        each.close()


def work(publishing: Publication, until: Callable[[Published], bool]) -> Published:
    """Run ticks until their sum is as wanted."""
    total, deadline = Published(), time.monotonic() + 20
    while not until(total):
        assert time.monotonic() < deadline, total
        total = Published(*map(sum, zip(total, publishing.run_once(), strict=True)))
        time.sleep(0.02)
    return total


def on_the_topic(settings: KafkaSettings) -> list[Message]:
    """Return every record of the topic of dead letters."""
    topic = topics.dead_letters(settings)
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": f"{topic}-test"}
    )
    found = []
    for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        partition = TopicPartition(topic, number, 0)
        _, end = patiently(partial(consumer.get_watermark_offsets, partition, timeout=10), 10)
        if end:
            consumer.assign([partition])
            found += consumer.consume(end, timeout=10)
    consumer.close()
    return found


def unpublished(drop: Recovery) -> list[int]:
    found = drop.database.execute(
        "SELECT dead_letter_id FROM dead_letters WHERE published_at IS NULL ORDER BY 1"
    )
    return [number for (number,) in found]


def headers_of(message: Message) -> dict[str, bytes]:
    found: Any = message.headers()
    return dict(found)


def test_letter_is_published_with_its_origin_under_its_id(
    drop: Recovery, publication: Publishing
) -> None:
    number = poisoned(drop)
    drop.recorder().set_aside(Origin("requests", 3, 9), b"\x00{", BadRecord("undecodable: why"))
    claim_letter, unreadable = ids(drop)
    publishing = publication()

    total = work(publishing, lambda done: done.acknowledged == 2)

    assert (total.handed_over, unpublished(drop)) == (2, [])
    messages = {message.key(): message for message in on_the_topic(drop.settings.kafka)}
    assert set(messages) == {str(claim_letter).encode(), str(unreadable).encode()}
    message = messages[str(claim_letter).encode()]
    assert headers_of(message) == {
        "ce_specversion": b"1.0",
        "ce_type": b"firstcome.issuance-dead-letter.v1",
        "ce_source": b"/firstcome/recorder",
        "ce_id": str(claim_letter).encode(),
        "content-type": b"application/json",
    }
    value = msgspec.json.decode(message.value() or b"")
    assert (value["campaign_id"], value["position"], value["user_id"]) == (number, 2, "poison")
    assert (value["reason"], value["attempts"], value["requested_at"]) == (
        "REJECTED",
        5,
        1_795_000_000.5,
    )
    value = msgspec.json.decode(messages[str(unreadable).encode()].value() or b"")
    assert (value["topic"], value["partition"], value["offset"]) == ("requests", 3, 9)
    assert (value["payload"], value["payload_omitted"]) == ("AHs=", False)
    assert work(publishing, lambda _: True) == Published()
    assert publishing.run_once() == Published()


def test_several_publish_the_same_letter_under_the_same_id(
    drop: Recovery, publication: Publishing
) -> None:
    poisoned(drop)
    (letter,) = ids(drop)
    first, second = publication(), publication()
    assert (first.run_once().handed_over, second.run_once().handed_over) == (1, 1)
    for each in (first, second):
        work(each, lambda done: done.acknowledged == 1)
    keys = [message.key() for message in on_the_topic(drop.settings.kafka)]
    assert keys == [str(letter).encode()] * 2


def test_letter_is_published_again_by_the_next_process_when_one_died(
    drop: Recovery, publication: Publishing
) -> None:
    poisoned(drop)
    dying = publication()

    def die() -> None:
        raise KeyboardInterrupt

    with at({"after_publish": die}) as came_by, pytest.raises(KeyboardInterrupt):
        work(dying, lambda done: done.acknowledged > 0)
    assert came_by == ["after_publish"]
    assert unpublished(drop) == ids(drop)
    work(publication(), lambda done: done.acknowledged == 1)
    assert unpublished(drop) == []
    assert len(on_the_topic(drop.settings.kafka)) == 2


def test_nobody_waits_for_a_broker_that_is_away(drop: Recovery, publication: Publishing) -> None:
    number = poisoned(drop)
    nowhere = drop.settings.kafka.model_copy(
        update={"bootstrap_servers": "127.0.0.1:9", "delivery_timeout_seconds": 0.3}
    )
    publishing = publication(nowhere)
    began = time.monotonic()
    assert publishing.run_once().handed_over == 1
    assert publishing.run_once() == Published()  # under way: not handed over twice
    assert time.monotonic() - began < 2
    assert unpublished(drop) == ids(drop)
    # Given up by the client, it is handed over again.
    work(publishing, lambda done: done.handed_over > 0)
    assert_laws_hold(drop, number)
    work(publication(), lambda done: done.acknowledged == 1)
    assert unpublished(drop) == []


def test_payload_that_no_record_can_hold_is_left_to_the_table(
    drop: Recovery, publication: Publishing
) -> None:
    payload = b"x" * (PAYLOAD_BYTES_MAX + 1)
    drop.recorder().set_aside(Origin("requests", 0, 1), payload, BadRecord("too long"))
    work(publication(), lambda done: done.acknowledged == 1)
    (message,) = on_the_topic(drop.settings.kafka)
    value = msgspec.json.decode(message.value() or b"")
    assert (value["payload"], value["payload_omitted"]) == (None, True)


def test_ticks_are_bounded(
    drop: Recovery, monkeypatch: pytest.MonkeyPatch, publication: Publishing
) -> None:
    monkeypatch.setattr("firstcome.issuance.publication.LETTERS_MAX", 2)
    for offset in range(3):
        drop.recorder().set_aside(Origin("requests", 0, offset), b"{", BadRecord("no"))
    publishing = publication()
    assert publishing.run_once().handed_over == 2
    work(publishing, lambda done: done.acknowledged == 3)


def test_letter_whose_claim_was_recorded_after_all_is_closed(
    drop: Recovery, publication: Publishing
) -> None:
    number = beyond(drop)
    restock(drop, number)
    # The record comes again, or the sweeper finds the claim in the journal.
    done = recorded(drop, batch(number, 2, ["bob"], attempts=[5], requested_at=1_795_000_000.5))
    assert done.issued == 1
    assert publication().run_once().closed == 1
    after = seen(drop, number)
    assert after.letters == [("REDRIVEN", "BEYOND_LIMIT")]
    assert after.audited == ["sweeper dead_letter.redrive"]


def test_letters_of_claims_under_review_wait_for_an_operator(
    drop: Recovery, publication: Publishing
) -> None:
    number = poisoned(drop)
    recorded(drop, claimed(drop, number, "carl"))
    assert publication().run_once().closed == 0
    assert seen(drop, number).letters == [("QUARANTINED", "REJECTED")]


def test_topic_of_dead_letters_is_made_and_known(drop: Recovery) -> None:
    assert LogAdmin(drop.settings.kafka).check_topics() == []
    assert topics.dead_letters(drop.settings.kafka) in topics.retention_ms(drop.settings.kafka)
