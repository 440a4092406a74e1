"""A publication that is changed while the write-ahead log is followed: nothing is left out."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from firstcome import postgres
from firstcome.errors import SlotUnusable
from firstcome.relay import wal
from firstcome.settings import Settings
from tests.heard import heard
from tests.integration.issuing import Issuing
from tests.integration.relays import begun, preparation, slot_of, wal_of, work

pytestmark = pytest.mark.integration


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


def test_a_row_that_could_not_be_seen_yet_ends_later(
    own: Settings, issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal, "FORGET_SECONDS", 0.05)
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a"])
    with closing(begun(wal_of(own))) as relay:
        assert issuing.listed() == []
        issuing.unpublish_outbox()
        issuing.announce(campaign, 1, 2)
        work(relay, lambda: not issuing.listed())


def test_a_table_is_changed_only_while_a_slot_needs_it(settings: Settings) -> None:
    def identity(settings: Settings) -> object:
        with postgres.connect(settings.postgres) as connection:
            statement = "SELECT relreplident FROM pg_class WHERE oid = 'issuances'::regclass"
            return connection.execute(statement).fetchone()

    assert identity(settings) == ("d",)
    with slot_of(settings) as own:
        preparation(own).prepare()
        assert identity(own) == ("f",)
        preparation(own).drop()
    assert identity(settings) == ("d",)
