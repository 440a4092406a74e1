"""What a user sees from the first request to the code in hand."""

import uuid

import pytest

from running import RunningStack, Told, eventually

pytestmark = pytest.mark.acceptance


def assert_problem(answer: Told, status: int, code: str) -> None:
    """Check everything that each problem has."""
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["type"] == "/problems/" + code.lower().replace("_", "-")
    assert answer.json["title"]
    assert answer.json["detail"]
    assert ("retry-after" in answer.headers) == (status in (429, 503))


def test_user_gets_a_coupon_and_its_code(stack: RunningStack) -> None:
    campaign_id = stack.create(5, name="five croissants")
    user = f"ann-{uuid.uuid4().hex[:8]}"

    assert_problem(stack.standing(campaign_id, user), 404, "NOT_REQUESTED")
    promise = stack.claim(campaign_id, user, key="first-try")
    assert promise.status == 202
    assert promise.json == {"campaign_id": campaign_id, "position": 1, "status": "REQUESTED"}
    assert promise.headers["location"] == f"/v1/campaigns/{campaign_id}/issuances/me"
    assert "idempotency-replayed" not in promise.headers

    standing = stack.ask("GET", promise.headers["location"] + "?wait=10", user)
    assert standing.status == 200
    assert standing.json == promise.json | {"status": "ISSUED"}

    (coupon,) = stack.ask("GET", "/v1/users/me/coupons", user).json["coupons"]
    assert coupon["campaign_id"] == campaign_id
    assert coupon["campaign_name"] == "five croissants"
    assert (coupon["position"], coupon["status"]) == (1, "ISSUED")
    assert coupon["issued_at"]
    header, row = stack.run("campaign", "export", str(campaign_id)).splitlines()
    assert header.split(",")[:3] == ["position", "user_id", "code"]
    assert row.split(",")[:3] == ["1", user, coupon["code"]]


def test_user_who_repeats_a_request_hears_the_same_answer(stack: RunningStack) -> None:
    campaign_id = stack.create(5)
    first = stack.claim(campaign_id, "ann", key="one")
    again = stack.claim(campaign_id, "ann", key="one")
    quoted = stack.claim(campaign_id, "ann", key='"one"')

    for replay in (again, quoted):
        assert (replay.status, replay.body) == (first.status, first.body)
        assert replay.headers["idempotency-replayed"] == "true"
        assert replay.headers["location"] == first.headers["location"]
    assert stack.said("campaign", "show", str(campaign_id))["stock_left"] == 4


def test_user_who_asks_anew_hears_where_his_first_place_is(stack: RunningStack) -> None:
    campaign_id = stack.create(5)
    stack.claim(campaign_id, "ann", key="one")
    stack.standing(campaign_id, "ann")
    for key in ("another", None):
        refusal = stack.claim(campaign_id, "ann", key=key)
        assert_problem(refusal, 409, "DUPLICATE_COUPON_ISSUE")
        assert refusal.json["issuance"] == {"position": 1, "status": "ISSUED"}
    assert stack.said("campaign", "show", str(campaign_id))["stock_left"] == 4


def test_users_beyond_the_stock_are_refused_and_hold_nothing(stack: RunningStack) -> None:
    campaign_id = stack.create(2)
    assert [stack.claim(campaign_id, user).status for user in ("ann", "bob")] == [202, 202]
    assert_problem(stack.claim(campaign_id, "cat"), 409, "COUPON_OUT_OF_STOCK")
    assert_problem(stack.standing(campaign_id, "cat"), 404, "NOT_REQUESTED")
    # Who is in keeps his place, and hears of it, sold out or not.
    assert_problem(stack.claim(campaign_id, "bob"), 409, "DUPLICATE_COUPON_ISSUE")
    # What is left may be a second old.
    path = f"/v1/campaigns/{campaign_id}"
    eventually("nothing left", lambda: stack.ask("GET", path).json["stock_left"] == 0)


def test_stranger_gets_nothing(stack: RunningStack) -> None:
    campaign_id = stack.create(5)
    path = f"/v1/campaigns/{campaign_id}/issuances"
    token = stack.run("token", "ann").strip()
    head, claims, signature = token.split(".")
    forged = (
        "",
        "Bearer",
        f"Bearer {head}.{claims}.",
        f"Bearer {head}.{claims}.{signature[::-1]}",
        f"Bearer eyJhbGciOiJub25lIn0.{claims}.",
        f"Basic {token}",
        f"Bearer {stack.run('token', 'ann', '--expires-in-seconds', '1').strip()}x",
    )
    for authorization in forged:
        for method, asked in (
            ("POST", path),
            ("GET", path + "/me"),
            ("GET", "/v1/users/me/coupons"),
        ):
            answer = stack.ask(method, asked, Authorization=authorization)
            assert_problem(answer, 401, "UNAUTHENTICATED")
            assert answer.headers["www-authenticate"]
    # In mode jwt the gateway's header is just a header.
    assert_problem(stack.ask("POST", path, X_User_Id="ann"), 401, "UNAUTHENTICATED")
    assert stack.said("campaign", "show", str(campaign_id))["stock_left"] == 5
    assert stack.ask("POST", path, Authorization=f"Bearer {token}").status == 202


def test_user_with_the_token_that_the_command_line_made_is_that_user(stack: RunningStack) -> None:
    campaign_id = stack.create(5)
    made = stack.said("token", "dora")
    assert made["user_id"] == "dora"
    claim = f"/v1/campaigns/{campaign_id}/issuances"
    assert stack.ask("POST", claim, Authorization=f"Bearer {made['token']}").status == 202
    assert stack.standing(campaign_id, "dora").json["status"] == "ISSUED"
    assert "user" in stack.start("token", "not a user").communicate()[1].lower()


def test_wrong_requests_are_named(stack: RunningStack) -> None:
    campaign_id = stack.create(5)
    path = f"/v1/campaigns/{campaign_id}/issuances"
    assert_problem(stack.claim(999_999, "ann"), 404, "CAMPAIGN_NOT_FOUND")
    assert_problem(stack.standing(999_999, "ann"), 404, "CAMPAIGN_NOT_FOUND")
    assert_problem(stack.ask("POST", "/v1/campaigns/x/issuances", "ann"), 404, "CAMPAIGN_NOT_FOUND")
    assert_problem(stack.claim(campaign_id, "ann", key=""), 400, "INVALID_IDEMPOTENCY_KEY")
    assert_problem(stack.claim(campaign_id, "ann", key="a" * 256), 400, "INVALID_IDEMPOTENCY_KEY")
    assert_problem(stack.ask("POST", path, "ann", body={"user": "bob"}), 400, "INVALID_BODY")
    assert_problem(stack.ask("GET", path + "/me?wait=-1", "ann"), 400, "INVALID_PARAMETER")
    assert_problem(stack.ask("DELETE", path, "ann"), 405, "METHOD_NOT_ALLOWED")
    assert_problem(stack.ask("GET", "/v1/nothing", "ann"), 404, "NOT_FOUND")
    assert_problem(stack.ask("POST", path, "ann", Content_Length="99999"), 413, "BODY_TOO_LARGE")
    assert stack.said("campaign", "show", str(campaign_id))["stock_left"] == 5


def test_anybody_can_see_what_there_is(stack: RunningStack) -> None:
    campaign_id = stack.create(7, name="seven keys")
    shown = stack.ask("GET", f"/v1/campaigns/{campaign_id}").json
    # The list may be a second old.
    (mine,) = eventually(
        "listed",
        lambda: [
            each
            for each in stack.ask("GET", "/v1/campaigns").json["campaigns"]
            if each["campaign_id"] == campaign_id
        ],
    )
    assert mine == shown
    assert (mine["name"], mine["engine"], mine["state"]) == ("seven keys", "kafka", "OPEN")
    assert (mine["stock"], mine["stock_left"]) == (7, 7)
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
        assert stack.ask("GET", path).status == 200
