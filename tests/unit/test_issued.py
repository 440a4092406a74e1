"""An event's record: which ones are ours, and what is said of a campaign's completeness."""

from datetime import UTC, datetime

import pytest

from firstcome.eventlog.issued import CouponIssued, Headers, encode, event_id
from firstcome.relay.history import Completeness
from firstcome.relay.outbox import Range

pytestmark = pytest.mark.unit

EVENT = CouponIssued(5, 7, "ann", None, datetime(2026, 3, 1, tzinfo=UTC))


def test_an_event_of_ours_names_its_coupon_twice() -> None:
    parts = encode(EVENT)
    assert event_id(parts.headers, parts.value) == 5 * 2**27 + 7


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([("ce_id", b"%d" % (5 * 2**27 + 8))], encode(EVENT).value),
        ([("ce_id", b"0")], encode(EVENT).value),
        ([], encode(EVENT).value),
        (None, encode(EVENT).value),
        (encode(EVENT).headers, b"garbage"),
        (encode(EVENT).headers, None),
    ],
)
def test_a_record_that_contradicts_itself_is_no_event_of_ours(
    headers: Headers | None, value: bytes | None
) -> None:
    assert event_id(headers, value) is None


def test_completeness_is_not_known_once_the_oldest_events_are_gone() -> None:
    whole = Completeness(1, 10, 8, 2, 0, 0, 0, True, [Range(1, 3, 5)])
    assert whole.is_complete is True
    assert whole._replace(whole=False).is_complete is None
    assert whole._replace(whole=False, untold=[]).is_complete is True
    assert whole._replace(strangers=1).is_complete is False
    assert whole._replace(missing=1).is_complete is False
