"""What operators do with campaigns over their port, on a real database."""

import csv
import io
from collections.abc import Iterator

import pytest

from firstcome.settings import Settings
from tests.integration.operators_port import (
    NAME,
    OperatorsPort,
    running_console,
    without_database,
    without_gate_and_log,
)

pytestmark = pytest.mark.integration

MISSING = 2**40  # a number that no campaign reaches


@pytest.fixture
def port(settings: Settings) -> Iterator[OperatorsPort]:
    with running_console(settings) as running:
        yield running


def audit_of(port: OperatorsPort, campaign_id: object) -> list[tuple[object, ...]]:
    return port.sql(
        "SELECT actor, action FROM audit WHERE campaign_id = %s ORDER BY audit_id", campaign_id
    )


def test_operator_creates_a_campaign_and_reads_it_back(port: OperatorsPort) -> None:
    answer = port.client.post(
        "/v1/campaigns",
        json={
            "name": "첫 백 명",
            "stock": 100,
            "opens_at": "2026-11-21T09:00:00+09:00",
            "closes_at": None,
        },
    )
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/campaigns/{made['campaign_id']}"
    assert port.client.get(answer.headers["location"]).json() == made
    assert made in port.client.get("/v1/campaigns").json()["campaigns"]
    assert made["opens_at"].startswith("2026-11-21T00:00:00")
    assert (made["stock"], made["position_limit"], made["state"]) == (100, 100, "OPEN")
    assert audit_of(port, made["campaign_id"]) == [(NAME, "campaign.create")]


def test_operator_archives_a_closed_campaign(port: OperatorsPort) -> None:
    number = port.create(engine="direct")["campaign_id"]
    path = f"/v1/campaigns/{number}"
    early = port.client.post(f"{path}/archive")
    assert (early.status_code, early.json()["code"]) == (409, "COMMAND_REFUSED")
    port.client.post(f"{path}/close")
    for _ in range(2):
        assert port.client.post(f"{path}/archive").json()["state"] == "ARCHIVED"
    acts = [(NAME, f"campaign.{act}") for act in ("create", "close", "archive")]
    assert audit_of(port, number) == acts


def test_archive_waits_for_redis(settings: Settings) -> None:
    with running_console(without_gate_and_log(settings)) as port:
        number = port.create()["campaign_id"]
        port.sql("UPDATE campaigns SET epoch = 1, state = 'CLOSED' WHERE campaign_id = %s", number)
        answer = port.client.post(f"/v1/campaigns/{number}/archive")
        assert (answer.status_code, answer.json()["code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert port.client.get(f"/v1/campaigns/{number}").json()["state"] == "CLOSED"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-12:00"])
def test_time_that_no_list_could_show_is_refused(port: OperatorsPort, time: str) -> None:
    path = f"/v1/campaigns/{port.create()['campaign_id']}"
    assert port.client.patch(path, json={"opens_at": time}).status_code == 409
    made = port.client.post("/v1/campaigns", json={"name": "A", "stock": 1, "closes_at": time})
    assert made.status_code == 409
    assert port.client.get("/v1/campaigns").status_code == 200


def test_operator_changes_a_campaign_step_by_step_when_every_step_is_audited(
    port: OperatorsPort,
) -> None:
    path = f"/v1/campaigns/{port.create()['campaign_id']}"
    steps = [
        ("pause", None, {"state": "PAUSED", "version": 2}),
        ("pause", None, {"state": "PAUSED", "version": 2}),  # already so: nothing to change
        ("resume", None, {"state": "OPEN", "version": 3}),
        ("restock", {"coupons": 5}, {"stock": 15, "position_limit": 15, "version": 4}),
        ("close", None, {"state": "CLOSED", "version": 5}),
    ]
    for verb, body, expected in steps:
        answer = port.client.post(f"{path}/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        assert expected.items() <= answer.json().items()
    actions = [action for _, action in audit_of(port, path.rsplit("/", 1)[1])]
    assert actions == [
        f"campaign.{verb}" for verb in ("create", "pause", "resume", "restock", "close")
    ]


def test_edit_keeps_what_is_missing_and_removes_what_is_null(port: OperatorsPort) -> None:
    made = port.create(opens_at="2030-01-01T00:00:00Z", closes_at="2030-01-02T00:00:00Z")
    path = f"/v1/campaigns/{made['campaign_id']}"

    renamed = port.client.patch(path, json={"name": "B"}).json()
    assert renamed == made | {"name": "B", "version": 2}
    unbound = port.client.patch(path, json={"opens_at": None}).json()
    assert unbound == renamed | {"opens_at": None, "version": 3}
    assert port.client.patch(path, json={}).json() == unbound


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "A"},
        {"name": "", "stock": 1},
        {"name": "A" * 201, "stock": 1},
        {"name": "A", "stock": 0},
        {"name": "A", "stock": 100_000_001},
        {"name": "A", "stock": "ten"},
        {"name": "A", "stock": 1, "state": "OPEN"},
        {"name": "A", "stock": 1, "position_limit": 5},
        {"name": "A", "stock": 1, "engine": "paper"},
        {"name": "A", "stock": 1, "opens_at": "2026-11-21T09:00:00"},
        [],
    ],
)
def test_body_that_is_not_a_campaign_is_refused(port: OperatorsPort, body: object) -> None:
    answer = port.client.post("/v1/campaigns", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["type"]) == ("INVALID_REQUEST", "/problems/invalid-request")
    assert problem["detail"]


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "code"),
    [
        ("GET", "", None, 404, "CAMPAIGN_NOT_FOUND"),
        ("PATCH", "", {"name": "B"}, 404, "CAMPAIGN_NOT_FOUND"),
        ("POST", "/pause", None, 404, "CAMPAIGN_NOT_FOUND"),
        ("POST", "/restock", {"coupons": 1}, 404, "CAMPAIGN_NOT_FOUND"),
        ("GET", "/winners.csv", None, 404, "CAMPAIGN_NOT_FOUND"),
        ("DELETE", "", None, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/nowhere", None, 404, "NOT_FOUND"),
        ("PATCH", "", {"name": "B" * 20_000}, 413, "BODY_TOO_LARGE"),
    ],
)
def test_problem_says_what_is_wrong(
    port: OperatorsPort, verb: str, path: str, body: object, status: int, code: str
) -> None:
    answer = port.client.request(verb, f"/v1/campaigns/{MISSING}{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_command_that_the_state_forbids_is_a_conflict(port: OperatorsPort) -> None:
    path = f"/v1/campaigns/{port.create()['campaign_id']}"
    port.client.post(f"{path}/close")
    for verb, body in (("resume", None), ("restock", {"coupons": 1})):
        answer = port.client.post(f"{path}/{verb}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "COMMAND_REFUSED")
        assert "CLOSED" in answer.json()["detail"]


def test_winners_come_as_csv_in_the_order_of_positions(port: OperatorsPort) -> None:
    number = port.create(stock=3000)["campaign_id"]
    port.sql(
        "INSERT INTO issuances (campaign_id, position, epoch, status, user_id, reason) "
        "SELECT %s, n, 1, s::issuance_status, 'user-' || n, "
        "CASE s WHEN 'CANCELLED' THEN 'HOLE' END "
        "FROM generate_series(2500, 1, -1) AS n, "
        "LATERAL (SELECT CASE n %% 100 WHEN 0 THEN 'CANCELLED' WHEN 1 THEN 'UNDER_REVIEW' "
        "ELSE 'ISSUED' END AS s) AS t",
        number,
    )
    answer = port.client.get(f"/v1/campaigns/{number}/winners.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"campaign-{number}-winners.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = [n for n in range(1, 2501) if n % 100 not in (0, 1)]
    assert [int(row["position"]) for row in rows] == expected
    assert rows[0]["user_id"] == "user-2"
    assert rows[0]["code"] == f"{number}-2"


def test_winners_of_a_campaign_without_any_are_a_header(port: OperatorsPort) -> None:
    number = port.create()["campaign_id"]
    text = port.client.get(f"/v1/campaigns/{number}/winners.csv").text
    assert text == "position,user_id,code,requested_at,issued_at\n"


def test_console_says_503_while_the_database_is_away(settings: Settings) -> None:
    with running_console(without_database(settings)) as port:
        assert port.client.get("/healthz").status_code == 200
        for answer in (port.client.get("/readyz"), port.client.get("/v1/campaigns")):
            assert (answer.status_code, answer.json()["code"]) == (503, "TEMPORARILY_UNAVAILABLE")
            assert answer.headers["retry-after"]
        answer = port.client.post("/v1/campaigns", json={"name": "A", "stock": 1})
        assert (answer.status_code, answer.json()["code"]) == (503, "OUTCOME_UNKNOWN")
