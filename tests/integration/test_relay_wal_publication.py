"""A publication that is changed while the write-ahead log is followed: nothing is left out."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from firstcome.errors import SlotUnusable
from firstcome.eventlog.admin import LogAdmin
from firstcome.settings import Settings
from tests.heard import heard
from tests.integration.issuing import Issuing
from tests.integration.relays import begun, preparation, slot_of, wal_of, work

pytestmark = pytest.mark.integration


@pytest.fixture
def issuing(settings: Settings) -> Iterator[Issuing]:
    """Somebody who issues coupons as a recorder does."""
    LogAdmin(settings.kafka).create_topics()
    with Issuing(settings.postgres) as issuing:
        yield issuing


@pytest.fixture
def own(settings: Settings, issuing: Issuing) -> Iterator[Settings]:
    """Settings with a slot of this test alone, prepared."""
    with slot_of(settings) as own:
        preparation(own).prepare()
        yield own


def test_rows_whose_coupons_do_not_come_are_not_ended(own: Settings, issuing: Issuing) -> None:
    relay = begun(wal_of(own))
    campaign = issuing.campaign()
    issuing.unpublish()
    confirmed = issuing.confirmed(own.relay.slot_of("wal"))
    issuing.issue(campaign, 1, ["a", "b"])

    with pytest.raises(SlotUnusable, match="lists 2 coupons of campaign"):
        work(relay, lambda: not issuing.listed())
    relay.close()

    assert issuing.listed() == [(campaign, 1, 3)]
    assert issuing.published() == {}
    assert issuing.confirmed(own.relay.slot_of("wal")) >= confirmed
    with pytest.raises(SlotUnusable, match="no publication firstcome_events"):
        relay.run_once()
    preparation(own).prepare()
    with closing(relay):
        work(relay, lambda: not issuing.listed())
    assert sorted(each.position for each in heard(own.kafka)) == [1, 2]
