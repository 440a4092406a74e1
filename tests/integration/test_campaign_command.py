"""`firstcome campaign ...` and `firstcome migrate` against real engines."""

import csv
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from firstcome import postgres
from firstcome.cli import campaign, serve
from firstcome.coupons import CouponCodes
from firstcome.errors import InvalidSettings, Refused
from firstcome.eventlog import topics
from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.issuance.recorder import Recorder
from firstcome.model import CampaignId
from firstcome.settings import RecorderSettings, Settings
from tests.integration.claimed import batch, open_campaign

pytestmark = pytest.mark.integration

KEY = "k" * 32
Command = Callable[..., Any]


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a verb as the command line does; returns its JSON document."""
    monkeypatch.setenv("FIRSTCOME_CONFIG", "/nonexistent")
    monkeypatch.setenv("FIRSTCOME_POSTGRES__URL", settings.postgres.url.get_secret_value())
    monkeypatch.setenv("FIRSTCOME_REDIS__URL", settings.redis.url.get_secret_value())
    monkeypatch.setenv("FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS", settings.kafka.bootstrap_servers)
    monkeypatch.setenv("FIRSTCOME_KAFKA__TOPIC_PREFIX", settings.kafka.topic_prefix)
    monkeypatch.setenv("FIRSTCOME_COUPONS__CODE_KEY", KEY)
    monkeypatch.setattr("firstcome.cli.beside.GATE_TIMEOUT_SECONDS", 0.2)
    app = typer.Typer()
    app.add_typer(campaign.app, name="campaign")
    app.command("migrate")(campaign.migrate)
    app.command("rebuild")(serve.rebuild)

    def run(*arguments: str, warned: Sequence[str] = ()) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        if result.exception is not None:
            raise result.exception
        assert all(text in result.stderr for text in warned), result.stderr
        return json.loads(result.stdout)

    return run


def audit_of(connection: postgres.Connection, number: CampaignId) -> list[postgres.Row]:
    """Return what the audit has of a campaign, oldest first."""
    with postgres.transaction(connection):
        return connection.execute(
            "SELECT actor, action, detail FROM audit WHERE campaign_id = %s ORDER BY audit_id",
            (number,),
        ).fetchall()


def test_command_makes_shows_changes_and_lists_campaigns(command: Command) -> None:
    late = ["does not show it"]
    times = ["--opens-at", "2026-12-01T12:00:00+09:00", "--closes-at", "2026-12-02T00:00:00Z"]
    made = command("campaign", "create", "--name", "tea", "--stock", "5", *times, warned=late)
    number = str(made["campaign_id"])
    assert (made["state"], made["gate_follows"]) == ("OPEN", False)
    assert made["opens_at"] == "2026-12-01T03:00:00Z"
    assert command("campaign", "pause", number)["state"] == "PAUSED"
    assert command("campaign", "resume", number)["state"] == "OPEN"
    assert command("campaign", "restock", number, "7")["stock"] == 12
    edited = command("campaign", "edit", number, "--name", "coffee", "--opens-at", "")
    assert (edited["name"], edited["opens_at"]) == ("coffee", None)
    assert edited["closes_at"] == made["closes_at"]
    assert command("campaign", "close", number)["state"] == "CLOSED"
    shown = command("campaign", "show", number)
    assert (shown["stock_left"], shown["stock_left_by"], shown["version"]) == (12, "database", 6)
    assert [each["name"] for each in command("campaign", "list")["campaigns"]] == ["coffee"]
    with pytest.raises(Refused, match="create a new campaign"):
        command("campaign", "resume", number)


def test_command_waits_until_the_gate_shows_the_change(
    command: Command, settings: Settings, connection: postgres.Connection
) -> None:
    number = open_campaign(connection, stock=10)
    with GateSession.open(settings.redis) as gate:
        epoch = keys.epoch_field(1, gate.run_id)
        numbers = ("position_last", 4, "position_limit", 13)
        gate.call("HSET", keys.gate(number), "epoch", epoch, "version", 2, *numbers)
        assert command("campaign", "restock", str(number), "3")["gate_follows"] is True
        assert command("campaign", "pause", str(number))["gate_follows"] is False
        shown = command("campaign", "show", str(number))
        assert (shown["stock_left"], shown["stock_left_by"]) == (9, "gate")
        gate.call("DEL", keys.gate(number))


def test_command_exports_winners_with_codes_that_check(
    command: Command,
    connection: postgres.Connection,
    connect: Callable[[], postgres.Connection],
    tmp_path: Path,
) -> None:
    number = open_campaign(connection)
    with closing(Recorder(connect, RecorderSettings())) as recorder:
        recorder.record([batch(number, 1, ["a", "b"])])
    out = tmp_path / "winners.csv"
    assert command("campaign", "export", str(number), "--out", str(out))["rows"] == 2
    assert audit_of(connection, number) == [(f"cli:{getuser()}", "campaign.export", {})]
    with out.open() as file:
        found = list(csv.DictReader(file))
    assert [(row["position"], row["user_id"]) for row in found] == [("1", "a"), ("2", "b")]
    codes = CouponCodes(KEY.encode())
    assert codes.check(found[1]["code"]) == (CampaignId(number), 2)


def test_command_that_rebuilds_a_gate_is_in_the_audit(
    command: Command, connection: postgres.Connection
) -> None:
    late = ["does not show it"]
    made = command("campaign", "create", "--name", "tea", "--stock", "5", warned=late)
    number = made["campaign_id"]
    assert command("rebuild", str(number)) == {"campaigns": 1, "opened": 1}
    [_, deed] = audit_of(connection, number)
    assert deed == (f"cli:{getuser()}", "campaign.rebuild", {"epoch": 0})


def test_command_exports_nothing_without_the_key_for_codes(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIRSTCOME_COUPONS__CODE_KEY")
    with pytest.raises(InvalidSettings, match="CODE_KEY"):
        command("campaign", "export", "1")


def test_command_migrates_again_without_harm(command: Command, settings: Settings) -> None:
    first, second = command("migrate"), command("migrate")
    assert first["schema"] == {"before": "0004", "after": "0004"}
    assert sorted(first["topics_created"]) == sorted(topics.retention_ms(settings.kafka))
    assert second["topics_created"] == []


@pytest.mark.parametrize("time", ["tomorrow", "2026-12-01T12:00:00"])
def test_command_refuses_times_that_could_mean_anything(command: Command, time: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("campaign", "create", "--name", "tea", "--stock", "5", "--opens-at", time)
    assert stopped.value.code == 2
