"""What `firstcome bench compare` is told, and what it then does."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firstcome.bench.compare.comparing import Course
from firstcome.cli import bench

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("quick", [True, False])
def test_comparison_repeats_as_often_as_it_was_told(
    quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    courses: list[Course] = []

    def compare(course: Course, *_: Any) -> Any:
        courses.append(course)
        raise RuntimeError("planted: no stack is started")

    monkeypatch.setattr(bench, "compare", compare)
    options = ["--repetitions", "5", "--folder", str(tmp_path), *(["--quick"] if quick else [])]
    CliRunner().invoke(bench.app, ["compare", *options])
    assert [(course.quick, course.repetitions) for course in courses] == [(quick, 5)]
