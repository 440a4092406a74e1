"""Which commit a report names, and when it is called dirty."""

import subprocess
from pathlib import Path

import pytest

from firstcome.bench import origin

pytestmark = pytest.mark.unit


def test_commit_is_dirty_by_code_and_not_by_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=x", "-c", "user.email=x@localhost")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    code, report = tmp_path / "src" / "code.py", tmp_path / "docs" / "reports" / "runs.md"
    for file in (code, report):
        file.parent.mkdir(parents=True)
        file.write_text("one")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    monkeypatch.setattr(origin, "__file__", str(code))

    report.write_text("two")
    assert not origin.commit().endswith("-dirty")
    code.write_text("two")
    assert origin.commit().endswith("-dirty")
