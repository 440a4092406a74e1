"""The relay that follows the write-ahead log: nothing is left out, and nothing confirmed early."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from firstcome import postgres
from firstcome.errors import DatabaseUnavailable, LogUnavailable, SlotUnusable
from firstcome.eventlog.emitter import Emitter
from firstcome.eventlog.issued import encode
from firstcome.relay.outbox import Outbox, Range
from firstcome.relay.wal import WalRelay
from firstcome.settings import Settings
from tests.heard import heard
from tests.integration.issuing import Issuing
from tests.integration.letters_stage import at
from tests.integration.relays import (
    STREAM,
    begun,
    polling,
    preparation,
    slot_of,
    wal_of,
    work,
    working,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def own(settings: Settings, issuing: Issuing) -> Iterator[Settings]:
    """Settings with a slot of this test alone, prepared."""
    with slot_of(settings) as own:
        preparation(own).prepare()
        yield own


@pytest.fixture
def relay(own: Settings) -> Iterator[WalRelay]:
    """A relay that has not begun."""
    with closing(wal_of(own)) as relay:
        yield relay


def test_coupons_are_told_as_they_are_committed_and_their_rows_end(
    own: Settings, issuing: Issuing, relay: WalRelay
) -> None:
    begun(relay)
    first, second = issuing.campaign(), issuing.campaign()
    issuing.issue(first, 1, ["a", "b"], requested_at=datetime(2026, 3, 1, 9, 0, 0, 5, tzinfo=UTC))
    issuing.issue(second, 1, ["a"])
    with issuing.transaction():
        issuing.issue(second, 2, ["c"])
        issuing.issue(first, 3, ["c"])
    end = issuing.log_end()

    assert work(relay, lambda: not issuing.listed()) == 5
    work(relay, lambda: issuing.confirmed(own.relay.slot_of("wal")) >= end)

    events = heard(own.kafka)
    assert {
        each.key: [(e.campaign_id, e.position) for e in events if e.key == each.key]
        for each in events
    } == {
        b"a": [(first, 1), (second, 1)],
        b"b": [(first, 2)],
        b"c": [(second, 2), (first, 3)],
    }
    assert issuing.published() == {first: [(1, 4)], second: [(1, 3)]}


def test_an_event_is_the_same_whichever_relay_tells_it(
    own: Settings, issuing: Issuing, relay: WalRelay
) -> None:
    begun(relay)
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["anna"], requested_at=datetime(2026, 3, 1, 9, 0, 0, 5, tzinfo=UTC))
    issuing.issue(campaign, 2, ["ünï"])
    work(relay, lambda: not issuing.listed())

    with postgres.connect(own.postgres) as connection:
        ranges = [Range(campaign, 1, 3)]
        rows = encode(list(Outbox(own.relay).events(connection, ranges)))
    expected = {
        (key.encode(), value, tuple(dict(headers).values())) for key, value, headers in rows
    }
    told = {
        (each.key, each.value, tuple(value.encode() for value in each.headers.values()))
        for each in heard(own.kafka)
    }
    assert told == expected


def test_a_claim_under_review_is_told_when_it_is_redriven(
    own: Settings, issuing: Issuing, relay: WalRelay
) -> None:
    begun(relay)
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b"], status="UNDER_REVIEW")
    issuing.redrive(campaign, 2)
    # As an operator's decision does: the gate follows rows by their version.
    issuing.execute("UPDATE issuances SET version = 7")

    assert work(relay, lambda: bool(issuing.published())) == 1
    assert [each.position for each in heard(own.kafka)] == [2]


def test_a_transaction_that_is_committed_late_is_not_skipped(
    own: Settings, issuing: Issuing, relay: WalRelay
) -> None:
    begun(relay)
    campaign = issuing.campaign()
    with Issuing(own.postgres) as late:
        with late.transaction():
            late.issue(campaign, 1, ["late"])
            issuing.issue(campaign, 2, ["early"])
            work(relay, lambda: issuing.published() == {campaign: [(2, 3)]})
        work(relay, lambda: issuing.published() == {campaign: [(1, 3)]})
    assert {each.position for each in heard(own.kafka)} == {1, 2}


def test_a_transaction_may_be_larger_than_what_may_be_on_its_way(
    own: Settings, issuing: Issuing
) -> None:
    small = own.model_copy(update={"relay": own.relay.model_copy(update={"events_max": 7})})
    emitter = Emitter(own.kafka, tells_each=True)
    owed = []

    def all_told() -> bool:
        owed.append(emitter.owed)
        return not issuing.listed()

    with closing(wal_of(small, emitter=emitter)) as relay:
        begun(relay)
        campaign = issuing.campaign()
        issuing.issue(campaign, 1, [f"u{number}" for number in range(100)])
        assert work(relay, all_told) == 100
    assert 0 < max(owed) <= 7
    assert len(heard(own.kafka)) == 100


def test_what_was_issued_before_the_slot_was_made_is_told_first(
    settings: Settings, issuing: Issuing
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["before"])
    with slot_of(settings) as own:
        preparation(own).prepare()
        issuing.issue(campaign, 2, ["after"])
        with closing(wal_of(own)) as relay:
            begun(relay)
            issuing.issue(campaign, 3, ["later"])
            work(relay, lambda: issuing.published() == {campaign: [(1, 4)]})
    # The second one stands in the outbox and in the log.
    assert sorted(each.position for each in heard(settings.kafka)) == [1, 2, 3]


def test_all_that_was_issued_before_is_told_however_much_it_is(
    settings: Settings, issuing: Issuing
) -> None:
    campaign = issuing.campaign()
    for position in range(1, 8):
        issuing.issue(campaign, position, [f"u{position}"])
    with slot_of(settings) as own:
        preparation(own).prepare()
        small = own.model_copy(update={"relay": own.relay.model_copy(update={"events_max": 2})})
        with closing(wal_of(small)) as relay:
            begun(relay)
    assert sorted(each.position for each in heard(settings.kafka)) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("point", ["after_take", "after_emit", "before_note", "after_note"])
def test_a_life_that_ends_anywhere_is_followed_by_one_that_leaves_nothing_out(
    own: Settings, issuing: Issuing, relay: WalRelay, point: str
) -> None:
    slot = own.relay.slot_of("wal")
    begun(relay)
    campaign = issuing.campaign()
    before = issuing.log_end()
    issuing.issue(campaign, 1, ["a", "b"])

    with at({point: cut}), pytest.raises(DatabaseUnavailable):
        work(relay, lambda: False)
    relay.close()
    assert issuing.confirmed(slot) <= before
    assert issuing.listed() == ([] if point == "after_note" else [(campaign, 1, 3)])

    end = issuing.log_end()
    work(relay, lambda: not issuing.listed() and issuing.confirmed(slot) >= end)
    told = sorted(each.position for each in heard(own.kafka))
    assert told == ([1, 2] if point in ("after_take", "after_note") else [1, 1, 2, 2])


def cut() -> None:
    """End a life."""
    raise DatabaseUnavailable("cut")


def test_what_another_relay_has_published_is_not_told_again(
    own: Settings, issuing: Issuing, relay: WalRelay
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b", "c"])
    with polling(own) as other:
        assert other.run_once() == 3
    begun(relay)
    issuing.issue(campaign, 4, ["d"])
    work(relay, lambda: issuing.published() == {campaign: [(1, 5)]})
    assert sorted(each.position for each in heard(own.kafka)) == [1, 2, 3, 4]


def test_nothing_is_confirmed_before_the_brokers_have_it(own: Settings, issuing: Issuing) -> None:
    kafka = own.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:9"})
    quick = own.relay.model_copy(update={"acknowledge_timeout_seconds": 0.5})
    slot = own.relay.slot_of("wal")
    with closing(wal_of(own.model_copy(update={"kafka": kafka, "relay": quick}))) as cut_off:
        begun(cut_off)
        campaign = issuing.campaign()
        before = issuing.log_end()
        issuing.issue(campaign, 1, ["a"])
        with pytest.raises(LogUnavailable):
            work(cut_off, lambda: False)
    assert issuing.confirmed(slot) <= before
    assert issuing.listed() == [(campaign, 1, 2)]

    with working(wal_of(own)):
        assert [each.position for each in heard(own.kafka, at_least=1)] == [1]


def test_the_slot_of_an_idle_relay_moves_on(
    own: Settings, issuing: Issuing, relay: WalRelay
) -> None:
    begun(relay)
    issuing.execute("CREATE TABLE others AS SELECT generate_series(1, 10000)")
    end = issuing.log_end()
    assert work(relay, lambda: issuing.confirmed(own.relay.slot_of("wal")) >= end) == 0


def test_a_heartbeat_is_written_to_the_log(own: Settings, issuing: Issuing) -> None:
    lively = own.relay.model_copy(update={"heartbeat_seconds": 0.05})
    with closing(wal_of(own.model_copy(update={"relay": lively}))) as relay:
        begun(relay)
        issuing.campaign()
        end = issuing.log_end()
        work(relay, lambda: issuing.confirmed(own.relay.slot_of("wal")) > end)


def test_a_stream_that_was_cut_goes_on_where_it_was(own: Settings, issuing: Issuing) -> None:
    campaign = issuing.campaign()
    with working(wal_of(own)):
        for position in range(1, 6):
            issuing.issue(campaign, position, [f"u{position}"])
            issuing.terminate(STREAM)
        found = heard(own.kafka, at_least=5)
        issuing.until(lambda: not issuing.listed())
    assert {each.position for each in found} == {1, 2, 3, 4, 5}


def test_a_session_that_was_cut_is_replaced(own: Settings, issuing: Issuing) -> None:
    campaign = issuing.campaign()
    with working(wal_of(own)):
        issuing.terminate("test-relay")
        issuing.issue(campaign, 1, ["a"])
        issuing.until(lambda: issuing.published() == {campaign: [(1, 2)]})
    assert issuing.listed() == []


def test_a_relay_that_is_stopped_leaves_nothing_behind(own: Settings, issuing: Issuing) -> None:
    campaign = issuing.campaign()
    with working(wal_of(own)):
        issuing.issue(campaign, 1, [f"u{number}" for number in range(500)])
        heard(own.kafka, at_least=1)
    end = issuing.log_end()
    told = heard(own.kafka)
    assert issuing.listed() == ([] if len(told) == 500 else [(campaign, 1, 501)])
    with working(wal_of(own)):
        issuing.until(lambda: issuing.confirmed(own.relay.slot_of("wal")) >= end)
    assert {each.position for each in heard(own.kafka)} == set(range(1, 501))


def test_one_relay_reads_the_slot_and_the_other_takes_over(
    own: Settings, issuing: Issuing, relay: WalRelay
) -> None:
    begun(relay)
    campaign = issuing.campaign()
    with working(wal_of(own)):
        issuing.issue(campaign, 1, ["a"])
        assert work(relay, lambda: not issuing.listed()) == 1
        relay.close()
        issuing.issue(campaign, 2, ["b"])
        issuing.until(lambda: issuing.published() == {campaign: [(1, 3)]})
    assert sorted(each.position for each in heard(own.kafka)) == [1, 2]


def test_a_relay_that_stands_still_is_rid_of_its_slot(own: Settings, issuing: Issuing) -> None:
    with closing(wal_of(own, silence_seconds=0.5)) as still:
        begun(still)
        with working(wal_of(own)):
            campaign = issuing.campaign()
            issuing.issue(campaign, 1, ["a"])
            issuing.until(lambda: issuing.published() == {campaign: [(1, 2)]})
        with pytest.raises(DatabaseUnavailable, match="stood still"):
            still.run_once()
    # What lay in its hands when it stood still is not told by it any more.
    assert [each.position for each in heard(own.kafka)] == [1]


def test_a_slot_that_is_gone_is_never_made_by_a_relay(
    own: Settings, issuing: Issuing, relay: WalRelay
) -> None:
    begun(relay)
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])
    work(relay, lambda: not issuing.listed())
    issuing.drop_slot(own.relay.slot_of("wal"))
    relay.close()
    issuing.issue(campaign, 2, ["b"])

    with pytest.raises(SlotUnusable, match="is gone: run `firstcome relay prepare`"):
        relay.run_once()
    with pytest.raises(SlotUnusable):
        preparation(own).prepare_first()
    assert issuing.listed() == [(campaign, 2, 3)]

    done = preparation(own).prepare()
    assert (done.created, "is gone" in done.replaced) == (True, True)
    begun(relay)
    assert issuing.listed() == []
    assert [each.position for each in heard(own.kafka)] == [1, 2]


def test_a_relay_without_a_slot_says_so_until_it_is_prepared(
    settings: Settings, issuing: Issuing, capfd: pytest.CaptureFixture[str]
) -> None:
    with slot_of(settings) as own:
        said = ""
        relay = wal_of(own)
        with working(relay, wait=False):
            until = time.monotonic() + 20
            while "relay_slot_unusable" not in said:
                assert time.monotonic() < until
                said += capfd.readouterr().err
                time.sleep(0.05)
            assert "firstcome relay prepare" in said
            preparation(own).prepare()
            campaign = issuing.campaign()
            issuing.issue(campaign, 1, ["a"])
            assert [each.position for each in heard(own.kafka, at_least=1)] == [1]


def test_rows_may_be_kept_for_a_while(own: Settings, issuing: Issuing) -> None:
    keeping = own.relay.model_copy(update={"keep_published_seconds": 3600.0})
    with closing(wal_of(own.model_copy(update={"relay": keeping}))) as relay:
        begun(relay)
        campaign = issuing.campaign()
        issuing.issue(campaign, 1, ["a"])
        work(relay, lambda: not issuing.listed())
    assert issuing.kept() == [(campaign, 1, 2)]
