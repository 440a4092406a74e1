"""`firstcome reconcile`: drift is named by kind and campaign, and what cannot be said too."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from firstcome.cli import reconcile
from firstcome.gate import register
from firstcome.issuance.reconciliation import Drift
from firstcome.settings import Settings
from tests.integration.recovery_stage import Recovery

pytestmark = pytest.mark.integration

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    """A drop of this test alone."""
    stage = Recovery(settings)
    yield stage
    stage.close()


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the verb; returns its exit code and document."""
    monkeypatch.setenv("FIRSTCOME_CONFIG", "/nonexistent")
    monkeypatch.setenv("FIRSTCOME_POSTGRES__URL", settings.postgres.url.get_secret_value())
    monkeypatch.setenv("FIRSTCOME_REDIS__URL", settings.redis.url.get_secret_value())

    def run(*arguments: str) -> tuple[int, Any]:
        result = CliRunner().invoke(reconcile.app, [*arguments, "--grace", "0", "--json"])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, json.loads(result.stdout)

    return run


def test_command_names_drift_by_kind_and_campaign(drop: Recovery, command: Command) -> None:
    sound, lossy = drop.open_campaign(), drop.open_campaign()
    well = {"held": True, "campaigns": 2, "drifts": [], "not_compared": []}
    assert command() == (0, well)
    drop.admit(lossy, "ann", "bob")
    drift = {"campaign_id": lossy, "lost": 2, "leaked": 0, "unannounced": 0}
    assert command() == (1, well | {"held": False, "drifts": [drift]})
    drop.admit(sound, "eve")
    drop.add_row(sound, 1, "eve")
    code, said = command()
    kinds = {each["campaign_id"]: (each["lost"], each["unannounced"]) for each in said["drifts"]}
    assert (code, kinds) == (1, {lossy: (2, 0), sound: (0, 1)})


def test_command_says_of_which_campaigns_nothing_can_be_said(
    drop: Recovery, command: Command
) -> None:
    drop.open_campaign()
    shut = drop.open_campaign()
    register.shut(drop.session, shut, "shut:1:token")
    code, said = command()
    assert (code, said["not_compared"], said["drifts"]) == (1, [shut], [])


def test_claims_of_the_grace_are_under_way_and_no_drift(drop: Recovery, settings: Settings) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann")

    def record(_: float) -> None:
        """While the grace passes: a recorder comes to the first, and another user claims."""
        drop.add_row(number, 1, "ann")
        drop.database.execute(
            "INSERT INTO outbox (campaign_id, positions) VALUES (%s, '{[1,2)}')", (number,)
        )
        drop.admit(number, "bob")

    found = reconcile.reconciled(settings, 1e-6, pause=record)
    assert (found.campaigns, found.drifts, found.not_compared) == (1, {}, [])
    lost = reconcile.reconciled(settings, 1e-6, pause=lambda _: None)
    assert lost.drifts == {number: Drift(1, 0, 0)}
