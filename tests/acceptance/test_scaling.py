"""Recorders come and go; the autoscaler tells what it decides; ended drops leave Redis."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.metrics import catalogue
from firstcome.settings import RedisSettings
from running import RunningStack, eventually, started
from tests.scraped import scraped

pytestmark = pytest.mark.acceptance

# Nobody is to leave for having nothing to do, while the test counts who is there.
PATIENT = {"FIRSTCOME_AUTOSCALER__COOLDOWN_SECONDS": "600"}


@pytest.fixture(scope="module")
def scaling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of its own, with an autoscaler."""
    state = tmp_path_factory.mktemp("scaling") / "stack"
    with started(state, "--autoscale", "--auth", "jwt", **PATIENT) as running:
        yield running


def recorders(stack: RunningStack) -> dict[str, str]:
    return {each["name"]: each["state"] for each in stack.processes() if each["role"] == "recorder"}


def test_recorders_come_and_go_by_command(scaling: RunningStack) -> None:
    assert scaling.said("scale", "recorder")["wanted"] == 1
    said = scaling.said("scale", "recorder", "3")
    assert (said["before"], said["wanted"], said["ready"]) == (1, 3, 3)
    assert recorders(scaling) == {f"recorder-{number}": "ready" for number in (1, 2, 3)}
    urls = {each["metrics_url"] for each in scaling.processes() if each["role"] == "recorder"}
    partitions = eventually(
        "every partition has its recorder",
        lambda: [scraped(url).value("firstcome_recorder_partitions") for url in urls],
        lambda seen: sum(seen) == 10 and min(seen) > 0,
    )
    assert len(partitions) == 3
    campaign_id = scaling.create(3)
    for user in ("ann", "bob", "cat"):
        assert scaling.claim(campaign_id, user).status == 202
        assert scaling.standing(campaign_id, user).json["status"] == "ISSUED"
    assert scaling.said("scale", "recorder", "1")["ready"] == 1
    assert recorders(scaling) == {"recorder-1": "ready"}
    scaling.said("verify")


def test_wanted_recorders_are_kept_over_a_restart(scaling: RunningStack) -> None:
    scaling.said("scale", "recorder", "2")
    scaling.said("down")
    assert scaling.said("up", "--autoscale")["shape"]["recorders"] == 2
    assert recorders(scaling) == {"recorder-1": "ready", "recorder-2": "ready"}
    scaling.said("scale", "recorder", "1")


def test_autoscaler_tells_its_numbers(scaling: RunningStack) -> None:
    [process] = [each for each in scaling.processes() if each["role"] == "autoscaler"]
    wanted = {each.name for each in catalogue.METRICS if catalogue.AUTOSCALER in each.roles}
    eventually(
        "the autoscaler tells everything",
        lambda: wanted - scraped(process["metrics_url"]).names("firstcome_"),
        lambda missing: not missing,
    )
    # Recorders that an earlier test has sent home may still be on their way.
    eventually(
        "one recorder is wanted and there",
        lambda: [
            scraped(process["metrics_url"]).value(name)
            for name in ("firstcome_recorders_wanted", "firstcome_recorders")
        ],
        lambda told: told == [1, 1],
    )


def test_dry_run_explains_and_changes_nothing(scaling: RunningStack) -> None:
    dry = scaling.start("serve", "autoscaler", "--dry-run")
    try:
        decisions: list[dict[str, Any]] = []
        assert dry.stderr is not None  # where log lines go
        for line in dry.stderr:
            said = json.loads(line)
            if said["event"] == "decided":
                decisions.append(said)
            if len(decisions) == 3:
                break
    finally:
        dry.send_signal(signal.SIGTERM)
        assert _code(dry) == 0
    assert {(each["kind"], each["dry_run"]) for each in decisions} == {("keep", True)}
    assert "1 recorder kept: " in decisions[-1]["reason"]
    assert scaling.said("scale", "recorder")["wanted"] == 1


def test_scaling_needs_a_stack(tmp_path: Path) -> None:
    nowhere = RunningStack(tmp_path / "nowhere")
    nowhere.run("scale", "recorder", "2", exit_code=1)
    nowhere.run("serve", "autoscaler", exit_code=1)
    assert not (tmp_path / "nowhere").exists()


def test_every_key_of_a_running_system_is_listed_and_an_ended_drop_leaves_none(
    scaling: RunningStack,
) -> None:
    ended, other = scaling.create(2), scaling.create(5)
    users = ("ann", "bob", "cat")
    for campaign_id in (ended, other):
        for user in users:
            scaling.claim(campaign_id, user, key=f"{user}-1")
    for user in users[:2]:
        assert scaling.standing(ended, user).json["status"] == "ISSUED"
    with GateSession.open(RedisSettings(url=SecretStr(scaling.urls["redis"]))) as session:
        _are_as_listed(session)
        scaling.run("campaign", "archive", str(ended), exit_code=1)  # it is not closed
        scaling.said("campaign", "close", str(ended))
        archived = scaling.said("campaign", "archive", str(ended))
        assert (archived["state"], archived["gate_follows"]) == ("ARCHIVED", True)
        eventually(
            "no key of the campaign is left",
            lambda: _names(session, f"fc:{{{ended}}}:*"),
            lambda names: not names,
        )
        assert _names(session, f"fc:{{{other}}}:*") != []
    # Its rows answer now.
    assert scaling.standing(ended, "ann").json["status"] == "ISSUED"
    assert scaling.standing(ended, "cat").code == "NOT_REQUESTED"
    assert scaling.claim(ended, "dan").code == "CAMPAIGN_CLOSED"
    assert len(scaling.ask("GET", "/v1/users/me/coupons", "ann").json["coupons"]) >= 2
    assert scaling.claim(other, "dan").status == 202
    scaling.said("campaign", "archive", str(ended))
    scaling.said("verify")


def _are_as_listed(session: GateSession) -> None:
    """Every key in Redis is one of the list, of its type, with the TTL that it should have."""
    for name in _names(session, "*"):
        key = keys.key_of(name)
        assert key is not None, name
        assert session.call("TYPE", name) == key.type.encode(), name
        assert session.call("TTL", name) == (-1 if key.ttl_seconds is None else key.ttl_seconds)


def _names(session: GateSession, pattern: str) -> list[str]:
    cursor, found = b"0", list[str]()
    while True:
        reply = session.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        assert isinstance(reply, list)
        cursor, names = reply
        found += [name.decode() for name in names]
        if cursor == b"0":
            return found


def _code(process: "subprocess.Popen[str]") -> int:
    process.communicate(timeout=20)
    return process.returncode
