"""What nobody has healed in its time is named: lost, leaked, unannounced; by campaign."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from firstcome.gate import register
from firstcome.issuance.reconciliation import Drift, Reconciliation
from firstcome.model import CampaignId
from firstcome.settings import Settings
from tests.integration.recovery_stage import Recovery

pytestmark = pytest.mark.integration

GRACE, INTERVAL = 60.0, 30.0


class Watch:
    """A reconciliation whose clock the test moves."""

    def __init__(self, drop: Recovery) -> None:
        self._drop = drop
        self._now = 1000.0
        self.reconciliation = Reconciliation(GRACE, INTERVAL, clock=lambda: self._now)

    def after(self, seconds: float, number: CampaignId) -> Drift | None:
        """Let time pass, compare one campaign, and return its drift."""
        self._now += seconds
        with closing(self._drop.connect()) as connection:
            found = self.reconciliation.run_once(
                connection,
                [self._drop.campaign(number)],
                {number: register.read(self._drop.session, number)},
            )
        return found.get(number)


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    stage = Recovery(settings)
    yield stage
    stage.close()


@pytest.fixture
def watch(drop: Recovery) -> Watch:
    return Watch(drop)


def announce(drop: Recovery, number: CampaignId, positions: str) -> None:
    drop.database.execute(
        "INSERT INTO outbox (campaign_id, positions) VALUES (%s, %s)", (number, positions)
    )


def test_admitted_claim_without_a_row_is_lost_after_the_grace(drop: Recovery, watch: Watch) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann", "bob")
    drop.add_row(number, 1, "ann")
    announce(drop, number, "{[1,2)}")
    assert watch.after(INTERVAL, number) is None
    assert watch.after(INTERVAL, number) is None
    assert watch.after(INTERVAL, number) == Drift(lost=1, leaked=0, unannounced=0)


def test_drift_is_gone_once_it_is_healed(drop: Recovery, watch: Watch) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann")
    watch.after(INTERVAL, number)
    assert watch.after(GRACE, number) == Drift(lost=1, leaked=0, unannounced=0)
    drop.add_row(number, 1, "ann")
    announce(drop, number, "{[1,2)}")
    assert watch.after(INTERVAL, number) == Drift(lost=1, leaked=0, unannounced=0)
    assert watch.after(GRACE, number) is None


def test_claim_admitted_a_moment_ago_is_under_way(drop: Recovery, watch: Watch) -> None:
    number = drop.open_campaign()
    watch.after(INTERVAL, number)
    watch.after(GRACE, number)
    drop.admit(number, "ann")
    assert watch.after(INTERVAL, number) is None
    assert watch.after(INTERVAL, number) is None


def test_cancelled_place_that_raised_no_limit_is_leaked(drop: Recovery, watch: Watch) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann")
    drop.add_row(number, 1, "ann", "NOT_APPENDED")
    watch.after(INTERVAL, number)
    assert watch.after(GRACE, number) == Drift(lost=0, leaked=1, unannounced=0)


def test_issued_coupon_that_no_outbox_row_lists_is_unannounced(
    drop: Recovery, watch: Watch
) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann")
    drop.add_row(number, 1, "ann")
    watch.after(INTERVAL, number)
    assert watch.after(GRACE, number) == Drift(lost=0, leaked=0, unannounced=1)


def test_numbers_of_a_gate_that_is_gone_are_not_compared(drop: Recovery, watch: Watch) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann")
    watch.after(INTERVAL, number)
    drop.database.execute("UPDATE campaigns SET epoch = 2 WHERE campaign_id = %s", (number,))
    assert watch.after(GRACE, number) is None


def test_campaign_found_sound_is_not_counted_again_until_it_changes(
    drop: Recovery, watch: Watch
) -> None:
    number = drop.open_campaign()
    watch.after(INTERVAL, number)
    assert watch.after(GRACE, number) is None
    # Nothing that the gate shows has changed: what breaks now is left to `verify`.
    drop.add_row(number, 1, "ann")
    assert watch.after(GRACE, number) is None
    drop.admit(number, "bob")
    watch.after(INTERVAL, number)
    assert watch.after(GRACE, number) == Drift(lost=0, leaked=0, unannounced=1)
