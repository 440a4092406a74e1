"""Log lines: one JSON object each, other libraries included."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from firstcome import logs
from firstcome.settings import LogSettings

pytestmark = pytest.mark.unit


@pytest.fixture
def lines() -> Iterator[io.BytesIO]:
    """What a process that logs at level info has written."""
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    stream = io.BytesIO()
    logs.configure(LogSettings(), "recorder", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = kept
    root.setLevel(level)


def test_log_line_is_one_object_with_time_role_and_fields(lines: io.BytesIO) -> None:
    logs.get_logger().info("batch recorded", rows=3)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["level"], line["role"], line["rows"]) == (
        "batch recorded",
        "info",
        "recorder",
        3,
    )
    assert {"time", "pid"} <= set(line)


def test_log_line_below_the_level_is_not_written(lines: io.BytesIO) -> None:
    logs.get_logger().debug("batch polled")
    assert lines.getvalue() == b""


def test_log_line_of_an_error_carries_its_traceback_in_one_line(lines: io.BytesIO) -> None:
    try:
        raise ValueError("planted")
    except ValueError:
        logs.get_logger().exception("poll failed")
    assert lines.getvalue().count(b"\n") == 1
    assert "ValueError: planted" in json.loads(lines.getvalue())["exception"]


def test_other_libraries_speak_in_the_same_form(lines: io.BytesIO) -> None:
    logging.getLogger("librdkafka").warning("broker %s is away", 1)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["logger"], line["level"]) == (
        "broker 1 is away",
        "librdkafka",
        "warning",
    )


def test_values_that_json_does_not_know_are_written_as_text(lines: io.BytesIO) -> None:
    logs.get_logger().info("file opened", path=LogSettings)
    assert "LogSettings" in json.loads(lines.getvalue())["path"]


def test_log_line_before_configure_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    structlog.reset_defaults()
    logs.get_logger().warning("gate shut")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "gate shut" in captured.err
    structlog.reset_defaults()
