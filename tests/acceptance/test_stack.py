"""A stack of one's own, behind a gateway: two api processes on one socket and three recorders.

The last test stops it and starts it again, so the order of these tests matters.
"""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from running import RunningStack, eventually, started

pytestmark = pytest.mark.acceptance

SHAPE = ("--auth", "gateway", "--api", "2", "--recorders", "3")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Two api processes and three recorders; users are named by a gateway."""
    with started(tmp_path_factory.mktemp("wide") / "stack", *SHAPE) as running:
        yield running


def test_gateway_says_who_a_user_is(wide: RunningStack) -> None:
    campaign_id = wide.create(5)
    path = f"/v1/campaigns/{campaign_id}/issuances"
    assert wide.ask("POST", path, X_User_Id="ann").status == 202
    assert wide.standing(campaign_id, "ann").json["status"] == "ISSUED"
    assert wide.ask("GET", path + "/me", X_User_Id="bob").code == "NOT_REQUESTED"
    assert wide.ask("POST", path).code == "UNAUTHENTICATED"
    assert wide.ask("POST", path, Authorization="Bearer x").code == "UNAUTHENTICATED"
    assert wide.ask("POST", path, X_User_Id="not a user").code == "INVALID_USER_ID"
    wide.run("token", "ann", exit_code=1)


def test_drop_over_two_apis_and_three_recorders_is_verified(wide: RunningStack) -> None:
    processes = wide.processes()
    assert [each["role"] for each in processes].count("api") == 2
    assert [each["role"] for each in processes].count("recorder") == 3
    apis = [psutil.Process(each["pid"]) for each in processes if each["role"] == "api"]
    before = [sum(api.cpu_times()[:2]) for api in apis]

    report = wide.said(
        *("drop", "--campaigns", "2", "--coupons", "1500", "--users", "5000", "--rate", "3000")
    )
    assert (report["held"], report["failed"], report["issued"]) == (True, 0, 3000)
    assert report["auth"] == "gateway"
    after = [sum(api.cpu_times()[:2]) for api in apis]
    spent = [b - a for a, b in zip(before, after, strict=True)]
    assert min(spent) > sum(spent) / 10, f"one api process did all the work: {spent} s"
    assert wide.processes() == processes


def test_second_up_finds_what_runs(wide: RunningStack) -> None:
    processes = wide.processes()
    again = wide.said("up", *SHAPE)
    assert (again["state"], again["processes"]) == ("running", processes)
    other = wide.said("up", "--auth", "jwt", exit_code=1)
    assert other["shape"]["auth"] == "gateway"
    assert wide.said("status")["processes"] == processes


def test_rebuild_on_demand_changes_nothing_for_users(wide: RunningStack) -> None:
    campaign_id = wide.create(3)
    first = wide.claim(campaign_id, "ann", key="k")
    wide.standing(campaign_id, "ann")
    rebuilt = wide.said("rebuild", str(campaign_id))
    assert rebuilt == {"campaigns": 1, "opened": 1}
    assert wide.claim(campaign_id, "ann", key="k").body == first.body
    assert wide.claim(campaign_id, "bob").json["position"] == 2
    wide.run("rebuild", "999999", exit_code=1)


def test_process_is_ready_while_an_engine_is_away(wide: RunningStack) -> None:
    through_kafka, direct = wide.create(3), wide.create(3, "--engine", "direct")
    pid = next(each["pid"] for each in wide.processes() if each["role"] == "kafka")
    broker = psutil.Process(pid)
    broker.suspend()
    try:
        eventually("away", lambda: wide.ask("GET", "/readyz").json.get("kafka") == "away")
        # Many looks: both processes answer, and neither leaves.
        looks = [wide.ask("GET", "/readyz") for _ in range(20)]
        assert {look.status for look in looks} == {200}
        refused = wide.claim(through_kafka, "ann", key="k")
        assert (refused.status, "retry-after" in refused.headers) == (503, True)
        assert wide.claim(direct, "ann").status == 201
    finally:
        broker.resume()
    eventually("back", lambda: wide.claim(through_kafka, "ann", key="k").status == 202)
    well = {"status": "ready", "redis": "there", "kafka": "there"}
    eventually("all there", lambda: wide.ask("GET", "/readyz").json == well)


def test_campaign_goes_on_after_a_stop(wide: RunningStack) -> None:
    campaign_id = wide.create(3)
    assert wide.claim(campaign_id, "ann", key="k").json["position"] == 1
    assert wide.claim(campaign_id, "bob").json["position"] == 2

    down = wide.said("down")
    assert (down["was_running"], down["wiped"]) == (True, False)
    assert wide.said("status", exit_code=3)["state"] == "stopped"
    assert wide.said("down")["was_running"] is False
    wide.run("verify", exit_code=3)
    wide.run("campaign", "list", exit_code=3)
    assert wide.said("up", *SHAPE)["state"] == "running"

    # What was promised a moment before the stop is a coupon; the rest is still to be had.
    assert wide.standing(campaign_id, "bob").json["status"] == "ISSUED"
    replay = wide.claim(campaign_id, "ann", key="k")
    assert (replay.status, replay.json["position"]) == (202, 1)
    assert wide.claim(campaign_id, "cat").json["position"] == 3
    assert wide.claim(campaign_id, "dan").code == "COUPON_OUT_OF_STOCK"
    assert wide.standing(campaign_id, "cat").json["status"] == "ISSUED"
    assert wide.said("verify", FIRSTCOME_LAWS__GRACE_SECONDS="0.001")["held"] is True


def test_operator_looks_at_a_healthy_stack(stack: RunningStack) -> None:
    status = stack.said("status")
    assert status["state"] == "running"
    assert {each["role"] for each in status["processes"]} == {
        *("postgres", "redis", "kafka", "sweeper", "recorder", "api", "relay", "console")
    }
    assert stack.said("doctor")["fit"] is True
    lines = stack.run("logs", "recorder", "-n", "50").splitlines()
    assert any('"event":"ready"' in line for line in lines)
    stack.run("logs", "nobody", exit_code=1)
    document = stack.said("verify")
    assert document["held"] is True
    assert [law["law"] for law in document["laws"]] == [f"L{n}" for n in range(1, 9)]


def test_configuration_is_shown_without_its_secrets(stack: RunningStack) -> None:
    shown = stack.said("config", "show", FIRSTCOME_SWEEPER__TICK_SECONDS="1.5")
    by_name = {each["name"]: each for each in shown["settings"]}
    assert by_name["sweeper.tick_seconds"]["source"] == "environment"
    assert by_name["sweeper.tick_seconds"]["value"] == 1.5
    assert by_name["api.port"]["source"] == "file"
    assert by_name["kafka.linger_ms"]["source"] == "default"
    text = stack.run("config", "show")
    secrets = (stack.settings["auth"]["secret"], stack.settings["console"]["operator_key"])
    assert not any(secret in text for secret in secrets)
    stack.run("config", "show", FIRSTCOME_API__PORT="x", exit_code=2)


def test_operator_without_a_stack_is_told_so(tmp_path: Path) -> None:
    nowhere = {
        "FIRSTCOME_POSTGRES__URL": "postgresql://127.0.0.1:1/nothing",
        "FIRSTCOME_REDIS__URL": "redis://127.0.0.1:1/0",
        "FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    nothing = RunningStack(tmp_path / "nothing", nowhere)
    assert nothing.said("status", exit_code=3)["processes"] == []
    for verb, exit_code in (
        (("verify",), 3),
        (("campaign", "create", "--name", "x", "--stock", "1"), 3),
        (("doctor", "--json"), 3),
        (("drop", "--coupons", "1", "--users", "1"), 1),  # no key to sign tokens with
    ):
        process = nothing.start(*verb)
        assert "Traceback" not in process.communicate()[1]
        assert process.returncode == exit_code, verb
