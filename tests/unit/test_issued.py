"""An event's record: which ones are ours, and what is said of a campaign's completeness."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from firstcome.eventlog.issued import CouponIssued, Headers, decode, encode, event_id
from firstcome.relay.history import Completeness
from firstcome.relay.outbox import Range

pytestmark = pytest.mark.unit

EVENT = CouponIssued(5, 7, "ann", None, datetime(2026, 3, 1, tzinfo=UTC))
[(_, VALUE, HEADERS)] = encode([EVENT])


def test_an_event_of_ours_names_its_coupon_twice() -> None:
    assert event_id(HEADERS, VALUE) == 5 * 2**27 + 7


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([("ce_id", b"%d" % (5 * 2**27 + 8))], VALUE),
        ([("ce_id", b"0")], VALUE),
        ([], VALUE),
        (None, VALUE),
        (HEADERS, b"garbage"),
        (HEADERS, None),
    ],
)
def test_a_record_that_contradicts_itself_is_no_event_of_ours(
    headers: Headers | None, value: bytes | None
) -> None:
    assert event_id(headers, value) is None


def test_events_that_are_encoded_together_are_as_if_each_was_alone() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=9)))
    odd = [
        EVENT,
        CouponIssued(5, 8, 'line\nbreak "quoted" \u2028 가', noon, noon),
        CouponIssued(6, 1, "ann", None, EVENT.issued_at + timedelta(microseconds=1)),
        CouponIssued(6, 2, "bob", None, EVENT.issued_at),
    ]

    together = list(encode(odd))

    assert together == [record for event in odd for record in encode([event])]
    assert [decode(value) for _, value, _ in together] == odd
    assert [key for key, _, _ in together] == [event.user_id for event in odd]
    assert [dict(headers)["ce_time"] for _, _, headers in together] == [
        b"2026-03-01T00:00:00Z",
        b"2026-03-01T03:00:00Z",
        b"2026-03-01T00:00:00.000001Z",
        b"2026-03-01T00:00:00Z",
    ]
    assert list(encode([])) == []


def test_completeness_is_not_known_once_the_oldest_events_are_gone() -> None:
    whole = Completeness(1, 10, 8, 2, 0, 0, 0, True, [Range(1, 3, 5)])
    assert whole.is_complete is True
    assert whole._replace(whole=False).is_complete is None
    assert whole._replace(whole=False, untold=[]).is_complete is True
    assert whole._replace(strangers=1).is_complete is False
    assert whole._replace(missing=1).is_complete is False
