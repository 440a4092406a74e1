"""What is told of drift when a campaign is not looked at any more; nothing is asked."""

from typing import cast

from firstcome import postgres
from firstcome.issuance.reconciliation import Drift, Reconciliation
from firstcome.metrics import catalogue
from firstcome.model import CampaignId

NOBODY = cast(postgres.Connection, None)  # no campaign is due, so no row is asked for


def test_drift_of_an_archived_campaign_is_told_no_longer() -> None:
    now = 0.0
    reconciliation = Reconciliation(60, 30, clock=lambda: now)
    reconciliation.drifts[CampaignId(7)] = Drift(1, 0, 0)
    catalogue.DRIFT.set(1, "7", "lost")
    now = 30.0
    assert reconciliation.run_once(NOBODY, [], {}) == {}
    assert catalogue.DRIFT.series == {}
