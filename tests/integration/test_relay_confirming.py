"""The confirmer: rows of the outbox end when all of their events are on the topic, not before."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from structlog.testing import capture_logs

from firstcome import postgres
from firstcome.eventlog import topics
from firstcome.relay import confirming as module
from firstcome.relay import outbox
from firstcome.relay.confirming import Confirmer
from firstcome.relay.outbox import Outbox, Range
from firstcome.settings import Settings
from running import eventually
from tests.integration.issuing import Issuing
from tests.integration.relays import confirmer_of, confirming, tell, working

pytestmark = pytest.mark.integration


@pytest.fixture
def confirmer(settings: Settings, issuing: Issuing) -> Iterator[Confirmer]:
    """One that is alone in its group."""
    with confirming(settings) as confirmer:
        yield confirmer


def seen(confirmer: Confirmer, events: int) -> None:
    """Let it work until it has seen so many more events, and has looked once more."""
    count = 0

    def look() -> bool:
        nonlocal count
        count += confirmer.run_once()
        return count >= events

    eventually(f"{events} events are seen", look)
    confirmer.run_once()
    assert count == events


def test_rows_end_when_their_events_were_seen(
    settings: Settings, issuing: Issuing, confirmer: Confirmer
) -> None:
    first, second = issuing.campaign(), issuing.campaign()
    issuing.issue(first, 1, ["a", "b", "c"])
    issuing.issue(second, 7, ["a"])
    confirmer.run_once()
    assert issuing.listed() == [(first, 1, 4), (second, 7, 8)]

    tell(settings, Range(first, 1, 4), Range(second, 7, 8))
    seen(confirmer, 4)
    assert issuing.listed() == []
    assert issuing.published() == {first: [(1, 4)], second: [(7, 8)]}


def test_a_row_that_was_seen_in_part_stays(
    settings: Settings, issuing: Issuing, confirmer: Confirmer
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b", "c"])
    tell(settings, Range(campaign, 1, 3))
    seen(confirmer, 2)
    assert issuing.listed() == [(campaign, 1, 4)]

    tell(settings, Range(campaign, 2, 4))  # with a repeat
    seen(confirmer, 2)
    assert issuing.listed() == []
    assert issuing.published() == {campaign: [(1, 4)]}


def test_confirmers_that_see_a_part_each_end_rows_together(
    settings: Settings, issuing: Issuing, confirmer: Confirmer
) -> None:
    campaign = issuing.campaign()
    with confirming(settings) as other:

        def shared() -> bool:
            confirmer.run_once()
            other.run_once()
            return (confirmer.assigned, other.assigned) == (5, 5)

        eventually("each has its half of the partitions", shared)
        users = [f"user-{n}" for n in range(40)]
        issuing.issue(campaign, 1, users)
        tell(settings, Range(campaign, 1, 41))
        counts = [0, 0]

        def all_seen() -> bool:
            counts[0] += confirmer.run_once()
            counts[1] += other.run_once()
            return issuing.listed() == []

        eventually("the row is ended", all_seen)
    assert min(counts) > 0
    assert issuing.published() == {campaign: [(1, 41)]}


@pytest.mark.parametrize("kept", [0.0, 3600.0])
def test_a_successor_goes_on_where_the_offsets_stand(
    settings: Settings, issuing: Issuing, kept: float
) -> None:
    relay = settings.relay.model_copy(update={"keep_published_seconds": kept})
    settings = settings.model_copy(update={"relay": relay})
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b"])
    tell(settings, Range(campaign, 1, 2))
    with confirming(settings) as first:
        seen(first, 1)
    tell(settings, Range(campaign, 2, 3))
    with confirming(settings) as second:
        seen(second, 1)
    assert issuing.listed() == []
    assert issuing.kept() == ([(campaign, 1, 3)] if kept else [])


def test_what_was_not_noted_is_seen_again(
    settings: Settings, issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])
    tell(settings, Range(campaign, 1, 2))

    def broken(*_: Any) -> None:
        issuing.terminate("firstcome")
        note(*_)

    note = Outbox.note
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Outbox, "note", broken)
        with working(confirmer_of(settings), wait=False):
            eventually("it is interrupted", lambda: _events(logs, "relay_interrupted"))
            assert issuing.listed() == [(campaign, 1, 2)]
            patch.undo()
            eventually("the row is ended", lambda: issuing.listed() == [])


def test_rows_are_looked_at_in_turn(
    settings: Settings,
    issuing: Issuing,
    confirmer: Confirmer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "ROWS_MAX", 2)
    monkeypatch.setattr(module, "PAGES_MAX", 1)
    stuck, campaign = issuing.campaign(), issuing.campaign()
    for number in range(1, 6):
        issuing.issue(stuck, number, [f"stuck-{number}"])
        issuing.issue(campaign, number, [f"user-{number}"])
    tell(settings, Range(campaign, 1, 6))

    def only_stuck() -> bool:
        confirmer.run_once()
        return {listed for listed, _, _ in issuing.listed()} == {stuck}

    eventually("all rows behind stuck ones are ended", only_stuck)
    assert len(issuing.listed()) == 5


def test_a_replay_ends_rows_page_by_page(
    settings: Settings, issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "ROWS_MAX", 2)
    campaign = issuing.campaign()
    for number in range(1, 6):
        issuing.issue(campaign, number, [f"user-{number}"])
    with postgres.connect(settings.postgres) as connection:
        box = Outbox(settings.relay)
        box.note(connection, [Range(campaign, 1, 3), Range(campaign, 4, 6)])
        assert box.end_published(connection) == 4
    assert issuing.listed() == [(campaign, 3, 4)]


def test_records_that_are_no_events_are_passed_over(
    settings: Settings, issuing: Issuing, confirmer: Confirmer
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    topic = topics.coupon_issued(settings.kafka)
    for headers in (None, [("ce_id", b"x")], [("ce_id", None)], [("ce_id", b"9" * 40)]):
        producer.produce(topic, b"{}", headers=headers)
    producer.flush(10)
    tell(settings, Range(campaign, 1, 2))
    with capture_logs() as logs:
        seen(confirmer, 1)
        eventually("all were read", lambda: confirmer.run_once() or _strangers(logs) == 4)
    assert issuing.published() == {campaign: [(1, 2)]}


def test_overdue_events_are_told_with_what_to_do(
    settings: Settings, issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELL_SECONDS", 0.2)
    hasty = settings.relay.model_copy(update={"overdue_seconds": 0.5, "poll_seconds": 0.05})
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b"])
    with (
        capture_logs() as logs,
        confirming(settings.model_copy(update={"relay": hasty})) as confirmer,
    ):
        eventually("it is told", lambda: confirmer.run_once() or _events(logs, "events_overdue"))
    told = _events(logs, "events_overdue")[0]
    assert (told["events"], told["rows"], told["campaign_ids"]) == (2, 1, [campaign])
    assert told["log_level"] == "error"
    assert "firstcome events replay" in told["advice"]


def _events(logs: Any, name: str) -> list[Any]:
    return [each for each in logs if each["event"] == name]


def _strangers(logs: Any) -> int:
    return sum(each["records"] for each in _events(logs, "events_without_id"))
