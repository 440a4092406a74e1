"""The polling relay: what is in the outbox reaches the topic, once in effect and in order."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from firstcome import postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable
from firstcome.eventlog.emitter import Emitter, Handed
from firstcome.eventlog.issued import CouponIssued
from firstcome.metrics import catalogue
from firstcome.relay import look, outbox
from firstcome.relay.outbox import Outbox
from firstcome.relay.pace import Pace
from firstcome.relay.polling import PollingRelay
from firstcome.settings import KafkaSettings, Settings
from tests.heard import heard
from tests.integration.issuing import Issuing
from tests.integration.relays import polling, polling_of, working

pytestmark = pytest.mark.integration


@pytest.fixture
def relay(settings: Settings) -> Iterator[PollingRelay]:
    """A relay that nobody has called yet."""
    with polling(settings) as relay:
        yield relay


def test_a_coupon_is_told_as_the_contract_says(
    settings: Settings, issuing: Issuing, relay: PollingRelay
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 4711, ["alice"], requested_at=datetime(2026, 3, 1, 9, tzinfo=UTC))

    assert relay.run_once() == 1

    (event,) = heard(settings.kafka)
    assert event.topic == f"{settings.kafka.topic_prefix}.coupon-issued.v1"
    assert event.key == b"alice"
    value = json.loads(event.value)
    issued_at = value.pop("issued_at")
    assert value == {
        "campaign_id": campaign,
        "position": 4711,
        "user_id": "alice",
        "requested_at": "2026-03-01T09:00:00Z",
    }
    assert abs(datetime.now(UTC) - datetime.fromisoformat(issued_at)).total_seconds() < 60
    assert event.headers == {
        "ce_specversion": "1.0",
        "ce_type": "firstcome.coupon-issued.v1",
        "ce_source": "/firstcome",
        "ce_id": str(campaign * 2**27 + 4711),
        "ce_time": issued_at,
        "content-type": "application/json",
    }


def test_events_follow_the_rows_and_end_them(
    settings: Settings, issuing: Issuing, relay: PollingRelay
) -> None:
    first, second = issuing.campaign(), issuing.campaign()
    issuing.issue(first, 1, ["a", "b", "c"])
    issuing.issue(second, 1, ["a"])
    issuing.issue(first, 4, ["d"])

    assert relay.run_once() == 5
    assert relay.run_once() == 0

    told = [(each.campaign_id, each.position) for each in heard(settings.kafka) if each.key == b"a"]
    assert told == [(first, 1), (second, 1)]
    assert issuing.listed() == []
    assert issuing.published() == {first: [(1, 5)], second: [(1, 2)]}


def test_a_row_that_is_committed_late_is_not_skipped(
    settings: Settings, issuing: Issuing, relay: PollingRelay
) -> None:
    campaign = issuing.campaign()
    with Issuing(settings.postgres) as late, late.transaction():
        late.issue(campaign, 1, ["late"])
        issuing.issue(campaign, 2, ["early"])
        assert relay.run_once() == 1
    assert relay.run_once() == 1

    assert {each.position for each in heard(settings.kafka)} == {1, 2}


def test_what_was_not_acknowledged_is_published_again(
    settings: Settings, issuing: Issuing, relay: PollingRelay
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:9"})
    quick = settings.relay.model_copy(update={"acknowledge_timeout_seconds": 0.5})
    cut_off = polling_of(settings.model_copy(update={"kafka": kafka, "relay": quick}))

    with pytest.raises(LogUnavailable):
        cut_off.run_once()
    cut_off.close()

    assert issuing.listed() == [(campaign, 1, 2)]
    assert relay.run_once() == 1
    assert [each.position for each in heard(settings.kafka)] == [1]


def test_brokers_that_are_too_slow_for_a_batch_get_a_smaller_one(
    settings: Settings, issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "ROOM_MIN", 1)
    campaign = issuing.campaign()
    for position in range(1, 9):
        issuing.issue(campaign, position, [f"u{position}"])
    slow = SlowBrokers(settings.kafka)
    eight = settings.relay.model_copy(update={"events_max": 8})
    relay = look.Look(eight, partial(postgres.connect, settings.postgres), slow)

    while issuing.listed():
        with suppress(LogUnavailable):
            relay.run_once()

    relay.close()
    slow.close()
    assert slow.asked == [8, 4, 2, 4, 2, 4, 2, 2]  # grows again each time that it worked
    assert [each.position for each in heard(settings.kafka)].count(8) == 1


class SlowBrokers(Emitter):
    """Brokers that take no more than two events in time."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        self.asked: list[int] = []

    def hand_over(self, events: Iterable[CouponIssued], until: float) -> Handed:
        """Give up as the real one does when the time is over."""
        asked = list(events)
        self.asked.append(len(asked))
        if len(asked) > 2:
            raise LogUnavailable("events were not acknowledged in time")
        return super().hand_over(asked, until)


def test_one_relay_works_and_the_other_stands_by(
    settings: Settings, issuing: Issuing, relay: PollingRelay
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])
    with postgres.connect(settings.postgres) as other:
        assert Outbox(settings.relay).lock(other)
        assert relay.run_once() == 0
    assert relay.run_once() == 1


def test_rows_may_be_kept_for_a_while(settings: Settings, issuing: Issuing) -> None:
    keeping = settings.relay.model_copy(update={"keep_published_seconds": 3600.0})
    relay = polling_of(settings.model_copy(update={"relay": keeping}))
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])

    assert relay.run_once() == 1
    assert relay.run_once() == 0
    relay.close()

    assert issuing.listed() == []
    assert issuing.kept() == [(campaign, 1, 2)]
    short = Outbox(settings.relay.model_copy(update={"keep_published_seconds": 0.001}))
    with postgres.connect(settings.postgres) as connection:
        assert short.forget(connection) == 1


def test_more_than_one_look_can_hold_is_published_in_several(
    settings: Settings, issuing: Issuing
) -> None:
    small = settings.relay.model_copy(update={"events_max": 3})
    relay = polling_of(settings.model_copy(update={"relay": small}))
    campaign = issuing.campaign()
    for first in (1, 3, 5, 7):
        issuing.issue(campaign, first, [f"u{first}", f"u{first + 1}"])

    assert [relay.run_once() for _ in range(3)] == [4, 4, 0]
    relay.close()
    assert len(heard(settings.kafka)) == 8


def test_a_call_wakes_a_waiting_relay(settings: Settings, issuing: Issuing) -> None:
    sleepy = settings.relay.model_copy(update={"poll_seconds": 15.0})
    with working(polling_of(settings.model_copy(update={"relay": sleepy}))):
        issuing.listened()
        campaign = issuing.campaign()
        issuing.issue(campaign, 1, ["a"])
        began = time.monotonic()
        events = heard(settings.kafka, at_least=1)
        assert time.monotonic() - began < 10
        issuing.call()
    assert [each.position for each in events] == [1]


def test_a_relay_that_was_called_looks_once_more(settings: Settings, issuing: Issuing) -> None:
    sleepy = settings.relay.model_copy(update={"poll_seconds": 15.0, "interval_seconds": 1.0})
    campaign = issuing.campaign()
    with working(polling_of(settings.model_copy(update={"relay": sleepy}))):
        issuing.listened()
        issuing.call()  # for what it finds or for what it has found already: that is all the same
        issuing.issue(campaign, 1, ["a"])
        heard(settings.kafka, at_least=1)
        issuing.issue(campaign, 2, ["b"], calls=False)
        assert len(heard(settings.kafka, at_least=2, seconds=8)) == 2
        issuing.call()


def test_an_event_of_one_transaction_carries_its_own_request(
    settings: Settings, issuing: Issuing, relay: PollingRelay
) -> None:
    campaign = issuing.campaign()
    first, second = (datetime(2026, 3, 1, 9, minute, tzinfo=UTC) for minute in (1, 2))
    with issuing.transaction():
        issuing.issue(campaign, 1, ["a", "b"], requested_at=second)
        issuing.issue(campaign, 3, ["c"])
        issuing.issue(campaign, 4, ["d", "e"], requested_at=first)
        issuing.issue(campaign, 6, ["f"], requested_at=second)

    assert relay.run_once() == 6

    values = [json.loads(each.value) for each in heard(settings.kafka)]
    told = {(each["position"], each["user_id"], each["requested_at"]) for each in values}
    early, late = "2026-03-01T09:01:00Z", "2026-03-01T09:02:00Z"
    assert told == {
        *((1, "a", late), (2, "b", late), (3, "c", None)),
        *((4, "d", early), (5, "e", early), (6, "f", late)),
    }


def test_times_are_utc_whatever_the_zone_of_the_server(
    settings: Settings, issuing: Issuing
) -> None:
    own = settings.postgres.url.get_secret_value()
    url = SecretStr(make_conninfo(own, options="-c timezone=Asia/Seoul"))
    elsewhere = settings.postgres.model_copy(update={"url": url})
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    issuing.issue(issuing.campaign(), 1, ["a"], requested_at=noon)

    with polling(settings.model_copy(update={"postgres": elsewhere})) as relay:
        assert relay.run_once() == 1

    (event,) = heard(settings.kafka)
    value = json.loads(event.value)
    assert value["requested_at"] == "2026-03-01T12:00:00Z"
    assert value["issued_at"] == event.headers["ce_time"]


def test_a_terminated_session_is_replaced(settings: Settings, issuing: Issuing) -> None:
    interruptions = catalogue.RELAY_INTERRUPTED.of("engine_away")
    before = interruptions.value
    with working(polling_of(settings)):
        issuing.listened()
        issuing.terminate("firstcome", "test-listener")
        campaign = issuing.campaign()
        issuing.issue(campaign, 1, ["a"])
        assert [each.position for each in heard(settings.kafka, at_least=1)] == [1]
    assert interruptions.value > before


def test_a_row_that_somebody_else_holds_is_waited_for(settings: Settings, issuing: Issuing) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])
    issuing.issue(campaign, 2, ["a-later"])
    hasty = settings.postgres.model_copy(update={"lock_timeout_seconds": 0.2})
    with (
        postgres.connect(settings.postgres) as other,
        polling(settings.model_copy(update={"postgres": hasty})) as relay,
    ):
        other.execute("SELECT FROM outbox ORDER BY outbox_id LIMIT 1 FOR UPDATE")
        with pytest.raises(DatabaseUnavailable, match="55P03"):
            relay.run_once()
        assert heard(settings.kafka) == []
        other.rollback()
        assert relay.run_once() == 2


def test_a_relay_does_not_rest_while_a_look_left_rows(
    settings: Settings, issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (outbox, look):
        monkeypatch.setattr(module, "ROWS_MAX", 2)
    campaign = issuing.campaign()
    for position in range(1, 10):
        issuing.issue(campaign, position, [f"u{position}"])
    rare = settings.relay.model_copy(update={"poll_seconds": 8.0})  # and five looks are needed
    with working(polling_of(settings.model_copy(update={"relay": rare}))):
        events = heard(settings.kafka, at_least=9, seconds=15)
        issuing.call()  # lost if it does not listen yet: then it stops at its next look
    assert len(events) == 9


def test_what_a_look_found_sets_the_pace_of_the_next(
    settings: Settings, issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    monkeypatch.setattr(Pace, "found", lambda _, events, seconds: found.append(events))
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b", "c"])
    with working(polling_of(settings)):
        heard(settings.kafka, at_least=3)
        issuing.call()
    assert sum(found) == 3
