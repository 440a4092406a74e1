"""Who gets through to the console, with which role, and from which page (law L8)."""

import pytest
from console_stage import BROWSER, KEYS, SHARED, Stage, staged

from firstcome.console.auth import role_needed
from firstcome.console.operators import Operators, Role
from firstcome.console.sessions import COOKIE, FAILURES_MAX, FailedSignIns, Sessions
from firstcome.model import USER_ID_PATTERN
from firstcome.settings import ConsoleSettings

pytestmark = pytest.mark.unit

CHANGES = (
    "/campaigns/1/pause",
    "/campaigns/new",
    "/dead-letters/check",
    "/dead-letters/decide",
    "/health/rebuild",
)


def test_stranger_with_a_browser_is_led_to_sign_in(stage: Stage) -> None:
    answer = stage.get("/dead-letters?state=DISCARDED")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/dead-letters%3Fstate%3DDISCARDED"
    assert stage.client.get("/drops", headers={"Accept": "*/*"}).status_code == 401
    part = stage.get("/drops", **{"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (200, "/sign-in?next=/drops")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("operator", "x" * 40),
        ("operator", KEYS["admin"]),
        ("operator", SHARED),  # the shared key never speaks under a name that is somebody's
        ("somebody", KEYS["admin"]),
        ("bad name", SHARED),
        ("", SHARED),
        ("somebody", ""),
    ],
)
def test_wrong_pair_of_name_and_key_signs_nobody_in(stage: Stage, name: str, key: str) -> None:
    answer = stage.post("/sign-in", csrf="", name=name, key=key)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert stage.get("/drops").status_code == 303


def test_shared_key_signs_in_an_admin_under_a_free_name(stage: Stage) -> None:
    answer = stage.post("/sign-in", csrf="", name="minji", key=SHARED)
    assert answer.status_code == 303
    assert "minji" in stage.get("/operators").text


def test_session_cookie_is_kept_from_scripts_and_other_sites(stage: Stage) -> None:
    cookie = stage.post("/sign-in", csrf="", name="viewer", key=KEYS["viewer"]).headers[
        "set-cookie"
    ]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    with staged(behind_tls=True) as other:
        made = other.post("/sign-in", csrf="", name="viewer", key=KEYS["viewer"])
        assert "Secure" in made.headers["set-cookie"]


def test_sign_out_ends_the_session_and_not_only_the_cookie(stage: Stage) -> None:
    stage.sign_in()
    stolen = dict(stage.client.cookies)
    assert stage.post("/sign-out").status_code == 303
    stage.client.cookies.update(stolen)
    assert stage.get("/drops").status_code == 303


def test_key_may_come_with_the_quotes_of_the_settings_file(stage: Stage) -> None:
    stage.sign_in("viewer", f'"{KEYS["viewer"]}"')
    stage.post("/sign-out")
    for wrong in ('"', '""', f'"{KEYS["viewer"]}'):
        answer = stage.post("/sign-in", csrf="", name="viewer", key=wrong)
        assert answer.status_code == 401, wrong


def test_sign_in_leads_to_no_other_host(stage: Stage) -> None:
    for bad in ("https://evil.example", "//evil.example", "/\\evil.example", "drops"):
        answer = stage.post("/sign-in", csrf="", name="viewer", key=KEYS["viewer"], next=bad)
        assert answer.headers["location"] == "/drops"


def test_address_with_many_wrong_keys_has_to_wait(stage: Stage) -> None:
    for _ in range(FAILURES_MAX):
        assert stage.post("/sign-in", csrf="", name="viewer", key="wrong").status_code == 401
    answer = stage.post("/sign-in", csrf="", name="viewer", key=KEYS["viewer"])
    assert answer.status_code == 429
    assert "60 seconds" in answer.text


def test_failures_are_forgotten_after_a_minute() -> None:
    now = [0.0]
    failed = FailedSignIns(clock=lambda: now[0])
    for _ in range(FAILURES_MAX):
        failed.note("here")
    assert failed.wait_seconds("here") == 60
    assert failed.wait_seconds("there") == 0
    now[0] = 60.0
    assert failed.wait_seconds("here") == 0


def test_session_ends_when_its_time_is_over() -> None:
    now = [0.0]
    sessions = Sessions(100, clock=lambda: now[0])
    cookie = sessions.begin("ann", Role.VIEWER)
    assert sessions.of(cookie) is not None
    assert sessions.of(cookie + "x") is None
    now[0] = 100.0
    assert sessions.of(cookie) is None
    assert sessions.all() == []


@pytest.mark.parametrize(
    "path", ["/v1/campaigns/1/winners.csv/", "/v1/campaigns/1//winners.csv", "/operators/"]
)
def test_address_that_routing_would_read_otherwise_than_the_guard_leads_nowhere(
    stage: Stage, path: str
) -> None:
    stage.sign_in("viewer")
    assert stage.get(path).status_code == 404
    assert stage.client.get(f"http://testserver/{path}").status_code == 404
    key = {"Authorization": f"Bearer {KEYS['viewer']}", "X-Operator": "eve"}
    assert stage.client.get(path, headers=key).status_code == 404
    assert stage.shop.deeds == []


def test_sign_in_ends_who_was_signed_in_before(stage: Stage) -> None:
    stage.sign_in("operator")
    before = dict(stage.client.cookies)
    stage.sign_in("viewer")
    assert dict(stage.client.cookies) != before
    stage.client.cookies.clear()
    stage.client.cookies.update(before)
    assert stage.get("/drops").status_code == 303


def test_session_that_a_stranger_chose_is_never_taken(stage: Stage) -> None:
    headers = BROWSER | {"Cookie": f"{COOKIE}=chosen-by-a-stranger"}
    form = {"csrf": "", "name": "viewer", "key": KEYS["viewer"]}
    made = stage.post("/sign-in", headers=headers, **form)
    assert made.status_code == 303
    assert "chosen-by-a-stranger" not in made.headers["set-cookie"]
    stage.client.cookies.clear()
    assert stage.client.get("/drops", headers=headers, follow_redirects=False).status_code == 303


def test_cookie_behind_tls_is_of_this_host_alone() -> None:
    with staged(behind_tls=True) as stage:
        made = stage.post("/sign-in", csrf="", name="viewer", key=KEYS["viewer"])
        assert made.headers["set-cookie"].startswith(f"__Host-{COOKIE}=")
        assert "Path=/" in made.headers["set-cookie"]
        assert "Domain" not in made.headers["set-cookie"]


def test_wrong_keys_behind_a_proxy_are_counted_by_whom_it_names() -> None:
    with staged(behind_tls=True) as stage:
        eve, ann = ({"X-Forwarded-For": f"1.2.3.4, {each}"} for each in ("10.0.0.9", "10.0.0.8"))
        wrong = {"csrf": "", "name": "viewer", "key": "wrong"}
        for _ in range(FAILURES_MAX):
            assert stage.post("/sign-in", headers=BROWSER | eve, **wrong).status_code == 401
        assert stage.post("/sign-in", headers=BROWSER | eve, **wrong).status_code == 429
        right = wrong | {"key": KEYS["viewer"]}
        assert stage.post("/sign-in", headers=BROWSER | ann, **right).status_code == 303


def test_header_of_a_proxy_means_nothing_where_there_is_none(stage: Stage) -> None:
    for number in range(FAILURES_MAX):
        eve = BROWSER | {"X-Forwarded-For": f"10.0.0.{number}"}
        stage.post("/sign-in", csrf="", headers=eve, name="viewer", key="wrong")
    assert stage.post("/sign-in", csrf="", name="viewer", key=KEYS["viewer"]).status_code == 429


def test_stranger_with_a_long_address_is_led_to_sign_in_all_the_same(stage: Stage) -> None:
    answer = stage.get("/drops?" + "a" * 700)
    assert answer.headers["location"] == "/sign-in?next=/"


def test_list_of_codes_is_audited_and_needs_a_name(stage: Stage) -> None:
    stage.sign_in("operator")
    answer = stage.get("/v1/campaigns/1/winners.csv")
    assert answer.text.splitlines()[1].startswith("1,ann,CODE-1")
    assert stage.shop.deeds == [("operator", "campaign.export", 1)]
    stage.client.cookies.clear()
    shared = {"Authorization": f"Bearer {SHARED}"}
    assert stage.client.get("/v1/campaigns/1/winners.csv", headers=shared).status_code == 400
    assert len(stage.shop.deeds) == 1


def test_code_of_one_coupon_is_shown_to_operators_and_audited(stage: Stage) -> None:
    asked = {"user": "ann", "campaign": "1"}
    stage.sign_in("viewer")
    assert "/person/code" not in stage.get("/person?user=ann").text
    assert stage.post("/person/code", **asked).status_code == 403
    stage.sign_in("operator")
    page = stage.get("/person?user=ann").text
    assert 'action="/person/code"' in page
    assert "CODE-" not in page
    assert stage.shop.deeds == []
    assert "CODE-1-42" in stage.post("/person/code", **asked).text
    assert stage.shop.deeds == [("operator", "coupon.code", 1)]
    for user, campaign in (("ann", "2"), ("ann", ""), ("a b", "1"), ("", "")):
        assert "CODE-" not in stage.post("/person/code", user=user, campaign=campaign).text
    assert len(stage.shop.deeds) == 1


def test_user_id_is_no_formula_of_a_spreadsheet() -> None:
    for character in "=+(|!,;\t\r\n\"'":
        assert not USER_ID_PATTERN.fullmatch(f"-1{character}")


def test_rebuild_and_archive_need_an_operator(stage: Stage) -> None:
    stage.sign_in("viewer")
    for path in ("/health/rebuild", "/campaigns/1/archive", "/campaigns/new"):
        assert stage.get(path).status_code == 403, path
    for path in ("/health/rebuild", "/campaigns/1/archive", "/v1/campaigns/1/archive"):
        answer = stage.post(path, step="do", confirmation="a")
        assert answer.status_code == 403, path
    assert stage.shop.deeds == []


@pytest.mark.parametrize("path", CHANGES)
def test_viewer_changes_nothing(stage: Stage, path: str) -> None:
    stage.sign_in("viewer")
    answer = stage.post(path, letter="7", action="redrive", step="do", confirmation="a")
    assert answer.status_code == 403
    assert stage.shop.deeds == []


def test_viewer_gets_no_codes_of_coupons(stage: Stage) -> None:
    stage.sign_in("viewer")
    assert stage.get("/v1/campaigns/1/winners.csv").status_code == 403


def test_operator_sees_no_keys_and_admin_does(stage: Stage) -> None:
    stage.sign_in("operator")
    assert stage.get("/operators").status_code == 403
    stage.post("/sign-out")
    stage.sign_in("admin")
    text = stage.get("/operators").text
    assert "operator" in text
    assert not any(key in text for key in (*KEYS.values(), SHARED))


def test_admin_ends_the_sessions_of_another(stage: Stage) -> None:
    stage.sign_in("operator")
    theirs = dict(stage.client.cookies)
    stage.client.cookies.clear()
    stage.sign_in("admin")
    assert stage.post("/operators/sign-out", name="operator").status_code == 303
    assert stage.shop.deeds == [("admin", "operator.sign_out", "operator")]
    stage.client.cookies.clear()
    stage.client.cookies.update(theirs)
    assert stage.get("/drops").status_code == 303


@pytest.mark.parametrize("token", ["", "wrong", "x" * 32])
def test_form_without_the_token_of_the_session_changes_nothing(stage: Stage, token: str) -> None:
    stage.sign_in()
    answer = stage.post("/campaigns/1/pause", csrf=token, step="do", confirmation="a")
    assert answer.status_code == 403
    assert stage.shop.deeds == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_form_of_another_site_changes_nothing(stage: Stage, headers: dict[str, str]) -> None:
    stage.sign_in()
    sent = BROWSER | headers
    answer = stage.post("/campaigns/1/pause", headers=sent, step="do", confirmation="a")
    assert answer.status_code == 403
    assert stage.shop.deeds == []


def test_session_changes_nothing_over_the_api_without_its_token(stage: Stage) -> None:
    stage.sign_in()
    answer = stage.client.post("/v1/campaigns/1/pause", headers={"X-Operator": "eve"})
    assert answer.status_code == 403
    assert stage.shop.deeds == []


def test_form_that_is_too_large_is_refused(stage: Stage) -> None:
    stage.sign_in()
    answer = stage.post("/campaigns/1/pause", name="x" * 20_000)
    assert answer.status_code == 413


def test_named_key_as_bearer_acts_under_its_own_name_and_role(stage: Stage) -> None:
    key = {"Authorization": f"Bearer {KEYS['operator']}", "X-Operator": "eve"}
    stage.client.post("/v1/campaigns", json={"name": "A", "stock": 5}, headers=key)
    [(_, wanted)] = stage.shop.deeds
    assert isinstance(wanted, dict)
    assert wanted["actor"] == "operator"
    viewer = {"Authorization": f"Bearer {KEYS['viewer']}", "X-Operator": "eve"}
    answer = stage.client.post("/v1/campaigns", json={"name": "A", "stock": 5}, headers=viewer)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


def test_wrong_bearer_is_refused_even_beside_a_session(stage: Stage) -> None:
    stage.sign_in("admin")
    answer = stage.client.get("/v1/campaigns", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401


def test_every_answer_forbids_foreign_scripts_and_frames(stage: Stage) -> None:
    stage.sign_in()
    for path in ("/sign-in", "/drops", "/nowhere", "/static/drops.js", "/v1/campaigns"):
        headers = stage.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_roles_are_decided_by_method_and_address() -> None:
    assert role_needed("GET", "/anything/new") is Role.VIEWER
    assert role_needed("POST", "/anything/new") is Role.OPERATOR
    assert role_needed("DELETE", "/anything") is Role.OPERATOR
    assert role_needed("GET", "/operators/x") is Role.ADMIN
    assert role_needed("POST", "/sign-out") is Role.VIEWER


def test_key_may_be_given_as_its_digest_alone() -> None:
    digest = "2b1a7e1b1d3a9c27ee9d1a3ad4cbd04d9d8eb8f8a1bb8bb2e3a1f3ea06d9e7a1"
    settings = ConsoleSettings.model_validate(
        {"operators": {"ann": {"role": "admin", "key_sha256": digest}}}
    )
    operators = Operators(settings)
    assert operators.signed_in("ann", "x" * 40) is None
    assert not operators.nobody
    with pytest.raises(ValueError, match="either key or key_sha256"):
        ConsoleSettings.model_validate({"operators": {"ann": {"role": "admin"}}})
    with pytest.raises(ValueError, match="32"):
        ConsoleSettings.model_validate({"operators": {"ann": {"key": "short"}}})
