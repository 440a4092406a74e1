"""What `firstcome config show` says of each setting, and how the doctor's findings read."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firstcome.cli.configuration import app, shown
from firstcome.cli.doctor import line
from firstcome.doctor.finding import State, clock, failure, ok
from firstcome.settings import Settings

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file, one variable, defaults for the rest."""
    file = tmp_path / "firstcome.toml"
    file.write_text(
        '[kafka]\npartitions = 7\n[api]\nport = 9\n[auth]\nsecret = "' + "k" * 40 + '"\n'
    )
    monkeypatch.setenv("FIRSTCOME_CONFIG", str(file))
    monkeypatch.setenv("FIRSTCOME_API__PORT", "8123")


def test_config_names_the_source_of_every_setting() -> None:
    found = {one.name: one for one in shown(Settings.load())}
    assert found["api.port"][1:4] == (8123, "environment", "FIRSTCOME_API__PORT")
    assert found["kafka.partitions"][1:3] == (7, "file")
    assert found["kafka.replication"][1:3] == (1, "default")
    sections = Settings.model_fields
    assert {one.name.split(".")[0] for one in found.values()} == set(sections)


def test_config_never_prints_a_secret() -> None:
    printed = CliRunner().invoke(app, ["show", "--json"]).output
    document = json.loads(printed)
    assert "k" * 40 not in printed
    assert {"auth.secret": "(set)"}.items() <= {
        one["name"]: one["value"] for one in document["settings"]
    }.items()
    assert "k" * 40 not in CliRunner().invoke(app, ["show"]).output


def test_config_prints_what_lists_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTCOME_CONSOLE__DECISION_FILES", '["decided.json"]')
    document = json.loads(CliRunner().invoke(app, ["show", "--json"]).output)
    values = {one["name"]: one["value"] for one in document["settings"]}
    assert values["console.decision_files"] == ["decided.json"]


def test_doctor_says_what_it_means_and_what_to_do() -> None:
    wrong = failure("disk", "0.1 GiB", "an engine stops", "make room")
    assert line(wrong).splitlines() == [
        "FAILURE  disk: 0.1 GiB",
        "         an engine stops: make room",
    ]
    assert line(ok("disk", "9 GiB")) == "ok       disk: 9 GiB"


@pytest.mark.parametrize(
    ("skew", "state"),
    [(0.2, State.OK), (-1.5, State.WARNING), (6.0, State.FAILURE), (-6.0, State.FAILURE)],
)
def test_doctor_judges_clocks_by_their_difference(skew: float, state: State) -> None:
    assert clock("redis clock", skew, 5.0).state is state
