"""Rebuilds that an operator begins, as the pages show them."""

import re

import pytest
from console_stage import Stage, campaign, eventually, report

from firstcome.console.rebuilds import Progress
from firstcome.model import CampaignState

pytestmark = pytest.mark.unit


@pytest.fixture
def desk(stage: Stage) -> Stage:
    """An operator before the page."""
    stage.sign_in("operator")
    stage.live.look(report())
    return stage


def begin(desk: Stage, confirmation: str = "a", campaign: str = "1") -> int:
    form = {"confirmation": confirmation, "campaign": campaign}
    return int(desk.post("/health/rebuild", **form).status_code)


def progress(desk: Stage) -> Progress | None:
    return desk.rebuilds.latest and desk.rebuilds.latest.progress


def test_rebuild_is_explained_first_then_begun_once_and_audited(desk: Stage) -> None:
    text = desk.get("/health/rebuild?campaign=1").text
    assert "Nobody loses his coupon" in text
    assert desk.shop.deeds == []
    assert begin(desk) == 303
    assert desk.shop.deeds == [("operator", "campaign.rebuild", 1)]
    assert progress(desk) is Progress.RUNNING
    shown = desk.get("/health").text
    assert "waiting for the test" in shown
    assert 'data-every="2"' in shown
    assert "under way already" in desk.get("/health/rebuild").text
    assert begin(desk) == 303  # the same click again
    assert begin(desk, "b") == 409
    assert len(desk.shop.deeds) == 1
    desk.shop.may_open.set()
    eventually(lambda: progress(desk), Progress.DONE)
    assert re.search(r"Done:</strong> 1 of 1 gates, begun by operator", desk.get("/health").text)


def test_rebuild_that_fails_says_why(desk: Stage) -> None:
    assert begin(desk) == 303
    desk.shop.away = True
    desk.shop.may_open.set()
    eventually(lambda: progress(desk), Progress.FAILED)
    assert "Redis gives no answer" in desk.get("/health").text


def test_rebuild_of_all_leaves_out_what_has_no_gate(desk: Stage) -> None:
    archived = campaign(2, CampaignState.ARCHIVED)
    desk.shop.campaigns = [campaign(1), archived, campaign(3)]
    assert "made anew: 2" in desk.get("/health/rebuild").text
    desk.shop.campaigns = [archived]
    assert "no gate to make anew" in desk.get("/health/rebuild").text
    assert begin(desk, campaign="all") == 409
    assert begin(desk, campaign="") == 400
    assert begin(desk, campaign="1x") == 400
    assert begin(desk, "c", "99") == 404
    assert desk.shop.deeds == []


def test_rebuild_without_a_confirmation_does_nothing(desk: Stage) -> None:
    assert begin(desk, "") == 303
    assert progress(desk) is None
