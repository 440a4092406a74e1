"""A run that hit or checked too little proves nothing, whatever it found."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firstcome.cli import faults
from firstcome.drill.ledger import Entry
from firstcome.drill.leg import Leg, Outcome
from firstcome.drill.nemesis import Struck
from firstcome.drill.quota import Quota

pytestmark = pytest.mark.unit

ASKED = {"faults": 3, "claims": 80, "kinds": 2, "targets": 2}


def outcome(*violations: str) -> Outcome:
    hit = [
        Struck(number, kind, target, 2.0, False, 150.0, 3, 1.0, 2.0, "pid 7 ended")
        for number, (kind, target) in enumerate(
            [("kill", "api-1"), ("kill", "api-2"), ("freeze", "redis")]
        )
    ]
    return Outcome(7, 60.0, hit, 80, {"REQUESTED": 90}, 200, {}, 4.5, list(violations))


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leg, "run", lambda leg, seconds: outcome())


def test_run_that_comes_to_its_quota_lacks_nothing() -> None:
    assert Quota(**ASKED).lacking(Entry.of(7, 320, [outcome()])) == []
    assert Quota().lacking(Entry.of(7, 320, [outcome()])) == []


@pytest.mark.parametrize("name", ASKED)
def test_run_below_its_quota_is_a_failure(name: str) -> None:
    short = ASKED | {name: ASKED[name] + 1}
    (said,) = Quota(**short).lacking(Entry.of(7, 320, [outcome()]))
    assert said.startswith(f"only {ASKED[name]} ")
    assert said.endswith(f"not {ASKED[name] + 1}")
    told = CliRunner().invoke(faults.app, ["--seed", "7", "--json", *options(short)])
    assert told.exit_code == 1
    assert said in told.output


def test_run_that_comes_to_its_quota_succeeds_unless_a_law_was_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["--seed", "7", *options(ASKED)]
    assert CliRunner().invoke(faults.app, arguments).exit_code == 0
    monkeypatch.setattr(Leg, "run", lambda leg, seconds: outcome("l1: too many"))
    assert CliRunner().invoke(faults.app, arguments).exit_code == 1


def test_brokers_are_told_of_in_the_entry() -> None:
    told = CliRunner().invoke(faults.app, ["--seed", "7", "--json", "--brokers", "3"])
    assert json.loads(told.stdout)["brokers"] == 3


def test_long_runs_of_the_makefile_ask_for_what_they_promise() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    _, _, recipe = makefile.partition("\nfaults: ")
    command = recipe.partition("\n\n")[0]
    for asked in ("--faults 60", "--claims 150000", "--kinds 8", "--targets 5"):
        assert asked in command


def options(quota: dict[str, int]) -> list[str]:
    return [word for name, least in quota.items() for word in (f"--{name}", str(least))]
