"""What is under way in all campaigns together, as far as anybody can know."""

import pytest

from firstcome.console.overview import (
    CampaignOverview,
    GateState,
    GateView,
    OutboxView,
    OverviewReport,
)
from firstcome.model import CampaignState, Engine

pytestmark = pytest.mark.unit


def report(*seen: tuple[GateState, int | None]) -> OverviewReport:
    campaigns = [
        CampaignOverview(
            campaign_id=number,
            name="tea",
            engine=Engine.KAFKA,
            state=CampaignState.OPEN,
            stock=10,
            stock_left=None,
            under_way=under_way,
            issued=0,
            under_review=0,
            cancelled=0,
            epoch=1,
            version=1,
            gate=GateView(state),
        )
        for number, (state, under_way) in enumerate(seen, 1)
    ]
    return OverviewReport(0, 0.0, OutboxView(0, 0, 0.0), campaigns)


def test_claims_under_way_are_those_of_all_gates_that_can_be_read() -> None:
    assert report().under_way == 0
    assert report((GateState.OPEN, 3), (GateState.NONE, 0), (GateState.OPEN, 4)).under_way == 7
    assert report((GateState.OPEN, 3), (GateState.SHUT, None)).under_way == 3


def test_claims_under_way_are_not_known_without_redis() -> None:
    assert report((GateState.UNREACHABLE, None), (GateState.NONE, 0)).under_way is None
