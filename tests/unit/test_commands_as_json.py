"""`logs` and `failpoints` as documents for programs."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firstcome import failpoints
from firstcome.cli import failpoints as failpoints_command
from firstcome.cli import stack

pytestmark = pytest.mark.unit


def said(app: Any, *arguments: str) -> Any:
    """Return the one document that a verb prints."""
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_failpoints_are_armed_and_disarmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTCOME_CONFIG", "/nonexistent")
    monkeypatch.setenv("FIRSTCOME_FAILPOINTS__FOLDER", str(tmp_path))
    app = failpoints_command.app
    armed = said(app, "arm", "after_admit", "pause 2", "--role", "api")
    assert armed == {"armed": "after_admit@api", "action": "pause 2"}
    assert [path.name for path in failpoints.armed(tmp_path)] == ["after_admit@api"]
    assert said(app, "disarm") == {"disarmed": ["after_admit@api"]}
    assert said(app, "disarm") == {"disarmed": []}


def test_last_log_lines_name_their_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTCOME_STATE", str(tmp_path))
    (tmp_path / "logs").mkdir()
    for name, text in (("api-1", 'old\n{"event":"ready"}\n'), ("sweeper-1", "two words\n")):
        (tmp_path / "logs" / f"{name}.log").write_text(text)
    assert said(stack.app, "logs", "-n", "1") == {
        "lines": [
            {"process": "api-1", "line": '{"event":"ready"}'},
            {"process": "sweeper-1", "line": "two words"},
        ]
    }
