"""The emitter says "all of them" only when brokers have all of them, whichever reports it hears."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from firstcome.errors import LogUnavailable
from firstcome.eventlog import emitter as module
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin
from firstcome.eventlog.emitter import Emitter
from firstcome.eventlog.issued import CouponIssued
from firstcome.settings import KafkaSettings, Settings
from tests.heard import heard
from tests.integration.fatal import break_for_good

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BATCH_BYTES = 10_000


@pytest.fixture
def kafka(settings: Settings) -> KafkaSettings:
    """A broker that has the topic."""
    LogAdmin(settings.kafka).create_topics()
    return settings.kafka


@pytest.fixture
def picky(settings: Settings) -> KafkaSettings:
    """A broker that has the topic, and takes no large batch."""
    topic = topics.coupon_issued(settings.kafka)
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    limited = NewTopic(topic, 10, 1, config={"max.message.bytes": str(BATCH_BYTES)})
    admin.create_topics([limited])[topic].result(20)
    return settings.kafka


@pytest.fixture(params=[False, True], ids=["failures", "each"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[KafkaSettings], Emitter]]:
    """Makes emitters that hear of failures alone, or of each event."""
    made: list[Emitter] = []

    def make(kafka: KafkaSettings) -> Emitter:
        made.append(Emitter(kafka, tells_each=request.param))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def emitter(kafka: KafkaSettings, make: Callable[[KafkaSettings], Emitter]) -> Emitter:
    """One that has not emitted yet."""
    return make(kafka)


def events(users: list[str], first: int = 1) -> list[CouponIssued]:
    """Return coupons of these users, in this order."""
    return [CouponIssued(7, at, user, None, NOW) for at, user in enumerate(users, first)]


def emit(emitter: Emitter, told: list[CouponIssued], seconds: float = 20.0) -> None:
    """Return when brokers have all of them."""
    until = time.monotonic() + seconds
    emitter.hand_over(told, until)
    emitter.flush(until)


def test_what_was_flushed_is_on_the_topic(kafka: KafkaSettings, emitter: Emitter) -> None:
    users = [f"u{number % 70}" for number in range(1700)]  # more than one part
    emit(emitter, events(users))
    assert emitter.owed == 0
    found = heard(kafka)
    assert sorted(each.position for each in found) == list(range(1, 1701))
    for user in set(users):
        own = [each.position for each in found if each.key == user.encode()]
        assert own == sorted(own)


def test_one_refused_event_among_many_fails_them_all(
    picky: KafkaSettings, make: Callable[[KafkaSettings], Emitter]
) -> None:
    emitter = make(picky)
    some = [f"u{number}" for number in range(40)]
    told = events([*some[:20], "long" * BATCH_BYTES, *some[20:]])

    with pytest.raises(LogUnavailable, match="not published"):
        emit(emitter, told)
    heard_first = {each.position for each in heard(picky)}
    assert heard_first  # the failure is of some alone: what is told is told again
    assert 21 not in heard_first

    emit(emitter, [each for each in told if each.position != 21])
    assert {each.position for each in heard(picky)} == {*range(1, 42)} - {21}


def test_a_refusal_is_noticed_without_waiting_for_all(
    picky: KafkaSettings, make: Callable[[KafkaSettings], Emitter]
) -> None:
    emitter = make(picky)
    emitter.hand_over(events(["long" * BATCH_BYTES]), time.monotonic() + 20)
    with pytest.raises(LogUnavailable, match="not published"):
        _poll_while_owed(emitter)


def test_a_client_that_gave_up_for_good_is_replaced(kafka: KafkaSettings, emitter: Emitter) -> None:
    emit(emitter, events(["a"]))
    break_for_good(emitter._open())
    with pytest.raises(LogUnavailable):
        emit(emitter, events(["b", "c"], first=2))
    emit(emitter, events(["b", "c"], first=2))
    assert {each.position for each in heard(kafka)} == {1, 2, 3}


def test_events_on_their_way_when_a_client_gives_up_are_not_acknowledged(
    kafka: KafkaSettings, emitter: Emitter, make: Callable[[KafkaSettings], Emitter]
) -> None:
    emit(emitter, events(["a"]))
    slow = make(kafka.model_copy(update={"linger_ms": 1000.0}))
    slow.hand_over(events(["b"], first=2), time.monotonic() + 20)
    break_for_good(slow._open())
    with pytest.raises(LogUnavailable):
        slow.flush(time.monotonic() + 20)
    assert [each.position for each in heard(kafka)] == [1]


def test_without_brokers_nothing_is_acknowledged(
    kafka: KafkaSettings, make: Callable[[KafkaSettings], Emitter]
) -> None:
    cut_off = make(kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:9"}))
    with pytest.raises(LogUnavailable, match="3 events were not acknowledged in time"):
        emit(cut_off, events(["a", "b", "c"]), seconds=0.5)
    assert cut_off.owed == 0  # they went with the producer


def test_a_full_queue_is_waited_for(
    kafka: KafkaSettings,
    make: Callable[[KafkaSettings], Emitter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "QUEUE_RECORDS_MAX", 20)
    emit(make(kafka), events(["same"] * 300))
    assert [each.position for each in heard(kafka)] == list(range(1, 301))


def test_each_acknowledgement_is_told_when_asked_for(kafka: KafkaSettings) -> None:
    emitter = Emitter(kafka, tells_each=True)
    first = emitter.hand_over(events(["a", "b"]), time.monotonic() + 20)
    assert first.owed == 2
    _poll_while_owed(emitter)
    second = emitter.hand_over(events(["c"], first=3), time.monotonic() + 20)
    assert (first.owed, second.owed) == (0, 1)
    emitter.flush(time.monotonic() + 20)
    assert second.owed == 0
    emitter.close()


def _poll_while_owed(emitter: Emitter) -> None:
    until = time.monotonic() + 20
    while emitter.owed and time.monotonic() < until:
        emitter.poll(0.05)
