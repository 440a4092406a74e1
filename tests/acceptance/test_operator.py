"""What operators do with a campaign, and that users feel it over HTTP."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from running import RunningStack, Told, eventually

pytestmark = pytest.mark.acceptance


def ahead(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def claimed_by_somebody(stack: RunningStack, campaign_id: int) -> Told:
    return stack.claim(campaign_id, uuid.uuid4().hex)


def is_(code: str | None) -> Callable[[Told], bool]:
    return lambda answer: answer.code == code


def test_operator_sees_what_became_of_a_campaign(stack: RunningStack) -> None:
    campaign_id = stack.create(3, name="three seats")
    stack.claim(campaign_id, "ann")
    stack.standing(campaign_id, "ann")
    shown = stack.said("campaign", "show", str(campaign_id))
    assert (shown["stock"], shown["stock_left"], shown["stock_left_by"]) == (3, 2, "gate")
    assert (shown["issued"], shown["under_review"], shown["cancelled"]) == (1, 0, 0)
    listed = stack.said("campaign", "list")["campaigns"]
    assert [each["name"] for each in listed if each["campaign_id"] == campaign_id] == [
        "three seats"
    ]
    stack.run("campaign", "show", "999999", exit_code=1)


def test_operator_pauses_resumes_restocks_and_closes(stack: RunningStack) -> None:
    campaign_id = stack.create(1)
    number = str(campaign_id)
    assert stack.claim(campaign_id, "ann").status == 202

    stack.said("campaign", "pause", number)
    assert stack.claim(campaign_id, "bob").code == "CAMPAIGN_NOT_OPEN"
    assert stack.standing(campaign_id, "ann").json["status"] == "ISSUED"
    stack.said("campaign", "resume", number)
    assert stack.claim(campaign_id, "bob").code == "COUPON_OUT_OF_STOCK"

    assert stack.said("campaign", "restock", number, "2")["stock"] == 3
    assert stack.claim(campaign_id, "bob").json["position"] == 2
    stack.said("campaign", "close", number)
    assert stack.claim(campaign_id, "cat").code == "CAMPAIGN_CLOSED"
    assert stack.claim(campaign_id, "bob").code == "DUPLICATE_COUPON_ISSUE"
    assert stack.standing(campaign_id, "bob").json["status"] == "ISSUED"
    stack.run("campaign", "resume", number, exit_code=1)
    assert stack.ask("GET", f"/v1/campaigns/{campaign_id}").json["state"] == "CLOSED"


def test_campaign_opens_and_closes_by_the_clock(stack: RunningStack) -> None:
    campaign_id = stack.create(9_000, "--opens-at", ahead(3600))
    number = str(campaign_id)
    assert stack.claim(campaign_id, "ann").code == "CAMPAIGN_NOT_OPEN"

    opens = datetime.now(UTC) + timedelta(seconds=2.5)
    stack.said("campaign", "edit", number, "--opens-at", opens.isoformat(), "--name", "now")
    early = []

    def claimed() -> Told:
        asked_at, answer = datetime.now(UTC), stack.claim(campaign_id, "ann")
        if asked_at < opens - timedelta(seconds=0.01):
            early.append(answer.code)
        return answer

    eventually("it opens", claimed, lambda answer: answer.status == 202, seconds=10)
    assert opens <= datetime.now(UTC) < opens + timedelta(seconds=1)
    assert set(early) <= {"CAMPAIGN_NOT_OPEN"}

    closes = datetime.now(UTC) + timedelta(seconds=1.5)
    stack.said(*("campaign", "edit", number, "--opens-at", "", "--closes-at", closes.isoformat()))
    eventually("it closes", lambda: claimed_by_somebody(stack, campaign_id), is_("CAMPAIGN_CLOSED"))
    assert datetime.now(UTC) >= closes
    assert stack.ask("GET", f"/v1/campaigns/{campaign_id}").json["name"] == "now"
    assert stack.standing(campaign_id, "ann").json["status"] == "ISSUED"


def test_operator_is_told_what_is_wrong_with_a_command(stack: RunningStack) -> None:
    stack.run("campaign", "create", "--name", "", "--stock", "5", exit_code=1)
    stack.run("campaign", "create", "--name", "x", "--stock", "0", exit_code=2)
    stack.run("campaign", "create", "--name", "x", "--stock", "1", "--opens-at", "now", exit_code=2)
    stack.run(
        *("campaign", "create", "--name", "x", "--stock", "1"),
        *("--opens-at", "2030-01-02T00:00:00Z", "--closes-at", "2030-01-01T00:00:00Z"),
        exit_code=1,
    )
    stack.run("campaign", "restock", "999999", "5", exit_code=1)


def test_operator_creates_by_http_and_nobody_else_does(stack: RunningStack) -> None:
    body = {"name": "by http", "stock": 4_000}
    made = stack.operate("POST", "/v1/campaigns", body)
    assert made.status == 201, made
    campaign_id = made.json["campaign_id"]
    assert made.headers["location"] == f"/v1/campaigns/{campaign_id}"
    eventually("it opens", lambda: claimed_by_somebody(stack, campaign_id), is_(None))
    paused = stack.operate("POST", f"/v1/campaigns/{campaign_id}/pause")
    assert (paused.status, paused.json["state"]) == (200, "PAUSED")
    eventually(
        "users feel it",
        lambda: claimed_by_somebody(stack, campaign_id),
        is_("CAMPAIGN_NOT_OPEN"),
    )

    before = len(stack.said("campaign", "list")["campaigns"])
    user_token = stack.run("token", "ann").strip()
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {user_token}"},
        {"X_User_Id": "ann"},
    ):
        for method, path in (("POST", "/v1/campaigns"), ("GET", "/v1/campaigns"), ("GET", "/x")):
            refused = stack.ask(
                method, path, body=body, port="console", X_Operator="eve", **headers
            )
            assert (refused.status, refused.code) == (401, "UNAUTHENTICATED")
    assert stack.ask("POST", "/v1/campaigns", "ann", body).status in (404, 405)
    assert stack.operate("POST", "/v1/campaigns", {"name": "x", "stock": 0}).status == 400
    assert len(stack.said("campaign", "list")["campaigns"]) == before
