"""What operators ask about events: is all of it told, and tell it again."""

import pytest
from confluent_kafka import Producer

from firstcome.errors import CampaignNotFound
from firstcome.eventlog import topics
from firstcome.relay.history import EventHistory
from firstcome.relay.outbox import Range
from firstcome.settings import Settings
from tests.heard import heard
from tests.integration.issuing import Issuing
from tests.integration.relays import polling

pytestmark = pytest.mark.integration


def test_a_campaign_is_complete_when_all_is_told_or_waits(
    settings: Settings, issuing: Issuing
) -> None:
    campaign, empty = issuing.campaign(), issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b"])
    with polling(settings) as relay:
        relay.run_once()
    issuing.issue(campaign, 3, ["c"])
    issuing.issue(campaign, 4, ["d"], status="UNDER_REVIEW")

    found, nothing = EventHistory(settings).check([])

    assert (found.campaign_id, found.issued, found.told) == (campaign, 3, 2)
    assert (found.waiting, found.missing, found.repeats, found.strangers) == (1, 0, 0, 0)
    assert found.untold == [Range(campaign, 3, 4)]
    assert found.is_complete
    assert (nothing.campaign_id, nothing.issued, nothing.is_complete) == (empty, 0, True)


def test_what_nobody_will_tell_is_missing_until_it_is_replayed(
    settings: Settings, issuing: Issuing
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b", "c", "d"])
    issuing.forget(campaign)
    history = EventHistory(settings)

    (lost,) = history.check([campaign])
    assert (lost.missing, lost.is_complete) == (4, False)

    assert history.replay([Range(campaign, 2, 4)], "ann") == 2
    (partly,) = history.check([campaign])
    assert partly.untold == [Range(campaign, 1, 2), Range(campaign, 4, 5)]

    assert history.replay(partly.untold, "ann") == 2
    (whole,) = history.check([campaign])
    assert (whole.told, whole.missing, whole.is_complete) == (4, 0, True)
    assert issuing.audited("events.replay") == ["ann"] * 3
    assert issuing.published() == {campaign: [(1, 5)]}


def test_a_replay_does_what_the_outbox_still_had_to_do(
    settings: Settings, issuing: Issuing
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b"])
    issuing.issue(campaign, 3, ["c"])

    assert EventHistory(settings).replay([Range(campaign, 1, 3)], "ann") == 2

    assert issuing.listed() == [(campaign, 3, 4)]
    with polling(settings) as relay:
        assert relay.run_once() == 1
    assert sorted(each.position for each in heard(settings.kafka)) == [1, 2, 3]


def test_a_replay_tells_only_of_coupons(settings: Settings, issuing: Issuing) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"], status="UNDER_REVIEW")

    assert EventHistory(settings).replay([Range(campaign, 1, 100)], "ann") == 0

    assert heard(settings.kafka) == []
    assert issuing.audited("events.replay") == []


def test_events_of_no_coupon_and_repeats_are_counted(settings: Settings, issuing: Issuing) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])
    with polling(settings) as relay:
        relay.run_once()
    EventHistory(settings).replay([Range(campaign, 1, 2)], "ann")
    stranger = b'{"campaign_id":%d,"position":9,"user_id":"x","requested_at":null,' % campaign
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for value in (stranger + b'"issued_at":"2026-01-01T00:00:00Z"}', b"garbage"):
        producer.produce(topics.coupon_issued(settings.kafka), value)
    producer.flush(30)

    (found,) = EventHistory(settings).check([campaign])

    assert (found.repeats, found.strangers, found.is_complete) == (1, 1, False)


def test_an_unknown_campaign_is_refused(settings: Settings, issuing: Issuing) -> None:
    with pytest.raises(CampaignNotFound, match="no campaign 12345"):
        EventHistory(settings).check([12345])
