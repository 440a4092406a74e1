"""The addresses beside the express lane: campaigns, coupons, probes, documentation."""

import html.parser
import json
from collections.abc import Iterator
from typing import Any

import pytest
from express_stage import HELD, Stage, request, serving

from firstcome.api.problems import PROBLEMS

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with serving() as running:
        yield running


def _json(stage: Stage, path: str, status: int = 200, *headers: str) -> dict[str, object]:
    with stage.wire() as wire:
        seen = wire.send(request("GET", path, *headers)).answer()
    assert seen.status == status
    document: dict[str, object] = json.loads(seen.body)
    return document


def test_campaigns_are_listed_with_the_stock_that_is_left(stage: Stage) -> None:
    assert _json(stage, "/v1/campaigns") == {
        "campaigns": [
            {
                "campaign_id": number,
                "name": f"Campaign {number}",
                "engine": "kafka",
                "state": "OPEN",
                "stock": 100,
                "stock_left": left,
                "opens_at": "2026-01-01T00:00:00Z",
                "closes_at": None,
            }
            for number, left in ((1, 3), (2, None))
        ],
        "next_after": None,
    }
    assert _json(stage, "/v1/campaigns/1")["stock_left"] == 3


def test_campaigns_are_listed_page_by_page(stage: Stage) -> None:
    stage.parts.campaigns = 1_200
    try:
        sizes, seen, after = [], [], 0
        while after is not None:
            page: Any = _json(stage, f"/v1/campaigns?limit=500&after={after}")
            sizes.append(len(page["campaigns"]))
            seen += [each["campaign_id"] for each in page["campaigns"]]
            after = page["next_after"]
        assert (sizes, seen) == ([500, 500, 200], list(range(1, 1_201)))
        first: Any = _json(stage, "/v1/campaigns")
        assert (len(first["campaigns"]), first["next_after"]) == (100, 100)
        last: Any = _json(stage, "/v1/campaigns?after=1100")
        assert (len(last["campaigns"]), last["next_after"]) == (100, None)
        assert _json(stage, "/v1/campaigns?after=1200") == {"campaigns": [], "next_after": None}
    finally:
        stage.parts.campaigns = 2


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=", "after=-1", "after=1.5", "after=x"]
)
def test_page_that_cannot_be_is_a_problem(stage: Stage, query: str) -> None:
    assert _json(stage, f"/v1/campaigns?{query}", 400)["code"] == "INVALID_PARAMETER"


@pytest.mark.parametrize("number", ["99", "x", "0", "9007199254740993", "%00"])
def test_unknown_campaign_is_not_found(stage: Stage, number: str) -> None:
    assert _json(stage, f"/v1/campaigns/{number}", 404)["code"] == "CAMPAIGN_NOT_FOUND"


def test_campaign_is_unavailable_while_its_engine_is(stage: Stage) -> None:
    assert _json(stage, "/v1/campaigns/9", 503)["code"] == "TEMPORARILY_UNAVAILABLE"


def test_user_sees_the_own_coupons_with_codes_of_issued_ones(stage: Stage) -> None:
    token = f"authorization: Bearer {stage.token()}"
    assert _json(stage, "/v1/users/me/coupons", 200, token) == {
        "coupons": [
            {
                "campaign_id": 1,
                "campaign_name": "One",
                "position": 17,
                "status": "ISSUED",
                "code": "CODE-1-17",
                "issued_at": "2026-01-02T03:04:05Z",
            },
            {
                "campaign_id": 2,
                "campaign_name": "Two",
                "position": 4,
                "status": "UNDER_REVIEW",
                "code": None,
                "issued_at": "2026-01-02T03:04:05Z",
            },
        ]
    }
    assert _json(stage, "/v1/users/me/coupons", 401)["code"] == "UNAUTHENTICATED"


def test_probes_tell_life_from_readiness(stage: Stage) -> None:
    assert _json(stage, "/healthz") == {"status": "alive"}
    assert _json(stage, "/readyz") == {"status": "ready", "redis": "there", "kafka": "there"}
    well = stage.parts.condition
    stage.parts.condition = well._replace(is_draining=True)
    try:
        assert _json(stage, "/readyz", 503)["code"] == "NOT_READY"
        assert _json(stage, "/healthz") == {"status": "alive"}
    finally:
        stage.parts.condition = well


def test_engine_that_is_away_is_told_and_leaves_a_process_ready(stage: Stage) -> None:
    well = stage.parts.condition
    try:
        stage.parts.condition = well._replace(kafka_away=True)
        assert _json(stage, "/readyz") == {"status": "ready", "redis": "there", "kafka": "away"}
        stage.parts.condition = well._replace(redis_away=True)
        assert _json(stage, "/readyz") == {"status": "ready", "redis": "away", "kafka": "there"}
    finally:
        stage.parts.condition = well


@pytest.mark.parametrize("code", PROBLEMS)
def test_type_of_a_problem_leads_to_its_page(stage: Stage, code: str) -> None:
    page = _json(stage, PROBLEMS[code].path)
    assert (page["code"], page["what_to_do"]) == (code, PROBLEMS[code].remedy)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nowhere", 404, None),
        ("GET", "/", 404, None),
        ("GET", "/problems/nothing", 404, None),
        ("POST", "/v1/campaigns", 405, "GET, HEAD, OPTIONS"),
        ("DELETE", "/healthz", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/v1/campaigns/1/issuances", 405, "OPTIONS, POST"),
        ("PUT", "/v1/campaigns/1/issuances/me", 405, "GET, HEAD, OPTIONS"),
    ],
)
def test_wrong_address_or_method_is_a_problem(
    stage: Stage, method: str, path: str, status: int, allow: str | None
) -> None:
    with stage.wire() as wire:
        seen = wire.send(request(method, path)).answer()
    assert (seen.status, seen.header("allow")) == (status, allow)
    assert seen.header("content-type") == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/campaigns", "/healthz", "/docs", "/openapi.json"])
def test_head_is_get_without_the_body(stage: Stage, path: str) -> None:
    with stage.wire() as wire:
        head = wire.send(request("HEAD", path)).answer(has_body=False)
        get = wire.send(request("GET", path)).answer()
    assert (head.status, head.headers) == (get.status, get.headers)


def test_openapi_describes_every_public_address(stage: Stage) -> None:
    described = _json(stage, "/openapi.json")
    assert set(described["paths"]) == {  # type: ignore[call-overload]
        "/v1/campaigns",
        "/v1/campaigns/{campaign_id}",
        "/v1/campaigns/{campaign_id}/issuances",
        "/v1/campaigns/{campaign_id}/issuances/me",
        "/v1/users/me/coupons",
        "/healthz",
        "/readyz",
        "/problems/{name}",
    }
    listing = described["paths"]["/v1/campaigns"]["get"]  # type: ignore[index]
    assert [
        (each["name"], each["required"], each["schema"].get("maximum"))
        for each in listing["parameters"]
    ] == [("limit", False, 500), ("after", False, 2**53)]
    claim = described["paths"]["/v1/campaigns/{campaign_id}/issuances"]["post"]  # type: ignore[index]
    assert {"202", "400", "401", "404", "409", "503"} <= set(claim["responses"])
    assert claim["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "/Issuance"
    )


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]


def test_documentation_page_loads_nothing(stage: Stage) -> None:
    with stage.wire() as wire:
        seen = wire.send(request("GET", "/docs")).answer()
    assert seen.status == 200
    assert seen.header("content-type") == "text/html; charset=utf-8"
    assert "default-src 'none'" in (seen.header("content-security-policy") or "")
    links = _Links()
    links.feed(seen.body.decode())
    assert links.loaded == ["/openapi.json"]
    assert not links.tags & {"script", "link", "img", "iframe"}
    assert b"/v1/campaigns/{campaign_id}/issuances" in seen.body


def test_slow_neighbour_holds_up_no_claim(stage: Stage) -> None:
    with stage.wire() as slow, stage.wire() as quick:
        slow.send(request("GET", f"/v1/campaigns/{HELD}"))
        assert quick.send(stage.claim(1)).answer().status == 202
        slow.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            slow.socket.recv(1)
        slow.socket.settimeout(10)
        assert slow.answer().status == 200
