"""Real drops by the command line, judged by its exit code, its document and the rows."""

from typing import Any

import pytest

from running import RunningStack

pytestmark = pytest.mark.acceptance


def assert_held(report: dict[str, Any]) -> None:
    """Check that nothing failed and every verdict is there."""
    assert report["held"] is True
    assert report["failed"] == report["in_doubt"] == report["under_review"] == 0
    assert len(report["checks"]) >= 8
    assert [law["law"] for law in report["laws"]] == [f"L{n}" for n in range(1, 9)]
    assert all(verdict["held"] for verdict in report["checks"] + report["laws"])
    assert sum(report["answers"].values()) == report["requests"]


def winners(stack: RunningStack, campaign_id: int) -> list[str]:
    """Return the users of the exported rows; positions must be 1, 2, 3, ..."""
    rows = stack.run("campaign", "export", str(campaign_id)).splitlines()[1:]
    positions = [int(row.split(",")[0]) for row in rows]
    assert positions == list(range(1, len(rows) + 1))
    return [row.split(",")[1] for row in rows]


def test_one_coupon_for_a_burst_of_thousands_is_given_once(stack: RunningStack) -> None:
    report = stack.said("drop", "--coupons", "1", "--users", "5000", "--burst")
    assert_held(report)
    assert report["accepted"] == report["issued"] == 1
    # The winner may have asked twice at the same time: the rest of the crowd is refused.
    assert report["answers"]["COUPON_OUT_OF_STOCK"] >= report["requests"] - 2
    assert len(winners(stack, report["campaign_ids"][0])) == 1


def test_crowd_smaller_than_the_stock_all_get_one(stack: RunningStack) -> None:
    report = stack.said("drop", "--coupons", "3000", "--users", "1000", "--rate", "2000")
    assert_held(report)
    assert report["accepted"] == report["issued"] == 1000
    assert len(set(winners(stack, report["campaign_ids"][0]))) == 1000
    assert stack.said("campaign", "show", str(report["campaign_ids"][0]))["stock_left"] == 2000


def test_crowd_comes_to_a_campaign_that_an_operator_made(stack: RunningStack) -> None:
    campaign = stack.create(200, name="made by hand")
    asked = ("drop", "--campaign", str(campaign), "--users", "300", "--rate", "1000")
    report = stack.said(*asked)
    assert_held(report)
    assert (report["campaign_ids"], report["issued"]) == ([campaign], 200)
    assert len(set(winners(stack, campaign))) == 200
    stack.run(*asked, exit_code=1)  # nobody could judge a second one


def test_four_campaigns_at_once_each_give_away_their_stock(stack: RunningStack) -> None:
    report = stack.said(
        *("drop", "--campaigns", "4", "--coupons", "300", "--users", "4000"),
        *("--twice", "0.3", "--keyed", "0.4", "--rate", "4000", "--seed", "7"),
    )
    assert_held(report)
    assert report["asked"]["crowd"]["seed"] == 7
    assert report["issued"] == report["accepted"] == 1200
    assert report["replayed"] > 0
    assert report["answers"]["DUPLICATE_COUPON_ISSUE"] > 0
    assert [len(set(winners(stack, each))) for each in report["campaign_ids"]] == [300] * 4
    assert stack.said("verify")["held"] is True


@pytest.mark.parametrize("engine", ["queue", "direct"])
def test_other_engines_keep_the_same_promises(stack: RunningStack, engine: str) -> None:
    report = stack.said(
        *("drop", "--engine", engine, "--coupons", "400", "--users", "1200"),
        *("--twice", "0.3", "--keyed", "0.5", "--rate", "500"),
    )
    assert_held(report)
    assert report["issued"] == report["accepted"] == 400
    assert report["replayed"] > 0
    assert len(set(winners(stack, report["campaign_ids"][0]))) == 400
    shown = stack.said("campaign", "show", str(report["campaign_ids"][0]))
    assert (shown["engine"], shown["stock_left"]) == (engine, 0)


def test_drop_that_makes_no_sense_is_refused(stack: RunningStack) -> None:
    stack.run("drop", "--coupons", "1", exit_code=2)
    stack.run("drop", "--coupons", "0", "--users", "5", exit_code=2)
    stack.run("drop", "--coupons", "5", "--users", "5", "--burst", "--rate", "9", exit_code=2)
