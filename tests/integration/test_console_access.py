"""Who gets through to the operators' port: nobody without the key, on no route (law L8)."""

from collections.abc import Iterator

import httpx2
import pytest

from firstcome.settings import Settings
from tests.integration.operators_port import KEY, OperatorsPort, running_console

pytestmark = pytest.mark.integration

OPEN = {("GET", "/healthz"), ("GET", "/readyz")}
ROUTES = 17  # what OpenAPI lists today; a new route changes this number on purpose
WRONG = {
    "none": {},
    "another key": {"Authorization": f"Bearer {'x' * len(KEY)}"},
    "a key cut short": {"Authorization": f"Bearer {KEY[:-1]}"},
    "a key with more": {"Authorization": f"Bearer {KEY}x"},
    "no scheme": {"Authorization": KEY},
    "another scheme": {"Authorization": f"Basic {KEY}"},
    "an empty key": {"Authorization": "Bearer"},
    "the key elsewhere": {"X-Operator-Key": KEY},
}


@pytest.fixture
def port(settings: Settings) -> Iterator[OperatorsPort]:
    with running_console(settings) as running:
        yield running


def routes_of(port: OperatorsPort) -> set[tuple[str, str]]:
    paths = port.client.get("/openapi.json").json()["paths"]
    return {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs}


def is_refused(answer: httpx2.Response) -> bool:
    return (
        answer.status_code == 401
        and answer.headers["content-type"] == "application/problem+json"
        and answer.headers["www-authenticate"] == "Bearer"
        and answer.json()["code"] == "UNAUTHENTICATED"
    )


def test_every_route_is_known_to_this_matrix(port: OperatorsPort) -> None:
    assert len(routes_of(port)) == ROUTES
    assert routes_of(port) > OPEN


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_stranger_is_refused_on_every_route(port: OperatorsPort, headers: dict[str, str]) -> None:
    routes = routes_of(port) - OPEN | {("GET", "/openapi.json"), ("GET", "/"), ("GET", "/nowhere")}
    for verb, path in sorted(routes):
        answer = port.stranger.request(
            verb, path.replace("{campaign_id}", "1"), headers={**headers, "X-Operator": "eve"}
        )
        assert is_refused(answer), (verb, path, answer.status_code)


def test_stranger_changes_nothing(port: OperatorsPort) -> None:
    [(before,)] = port.sql("SELECT count(*) FROM campaigns")
    answer = port.stranger.post(
        "/v1/campaigns", json={"name": "mine", "stock": 1}, headers={"X-Operator": "eve"}
    )
    assert is_refused(answer)
    assert port.sql("SELECT count(*) FROM campaigns") == [(before,)]


def test_two_keys_in_one_request_are_refused(port: OperatorsPort) -> None:
    both = [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")]
    assert is_refused(port.stranger.get("/v1/campaigns", headers=both))


def test_everybody_is_refused_when_no_key_is_configured(settings: Settings) -> None:
    with running_console(settings, operator_key=None) as port:
        for headers in ({}, {"Authorization": f"Bearer {KEY}"}, {"Authorization": "Bearer"}):
            answer = port.stranger.get("/v1/campaigns", headers=headers)
            assert is_refused(answer)
            assert "console.operator_key" in answer.json()["detail"]
        assert port.stranger.get("/healthz").status_code == 200


def test_health_needs_no_key(port: OperatorsPort) -> None:
    assert port.stranger.get("/healthz").json() == {"status": "alive"}
    assert port.stranger.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("name", [None, "", "ann lee", "a" * 65, "ann,eve", "<script>"])
def test_operator_without_a_name_changes_nothing(port: OperatorsPort, name: str | None) -> None:
    made = port.create()
    headers = {"Authorization": f"Bearer {KEY}"} | ({} if name is None else {"X-Operator": name})
    answer = port.stranger.post(f"/v1/campaigns/{made['campaign_id']}/pause", headers=headers)
    assert answer.status_code == 400
    assert "X-Operator" in answer.json()["detail"]
    assert port.client.get(f"/v1/campaigns/{made['campaign_id']}").json() == made
