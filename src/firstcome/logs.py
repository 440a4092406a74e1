"""Log lines: facts in the past tense, one JSON object a line, on standard error.

Every process calls `configure` once at its start; every module that speaks has
`logger = get_logger()`. A line carries time, level, event, role and pid, then its own
fields. Lines of other libraries come in the same form. Nothing here hides secrets:
fields are chosen where they are written, and no token or user's code ever is.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from firstcome.settings import LogSettings

_UNSET = LogSettings(level="warning", format="console")


def configure(settings: LogSettings, role: str, stream: BinaryIO | None = None) -> None:
    """Set up every log line of this process; may be called again.

    Standard output stays free for what a command was asked to print.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    stream = stream or cast(BinaryIO, _StandardError())
    enrich: list[Processor] = [
        structlog.processors.add_log_level,
        _process_named(role),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    render = _renderers(settings)
    structlog.configure(
        processors=[*enrich, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _adopt_other_libraries(stream, enrich, render, max(level, logging.WARNING))


def get_logger() -> FilteringBoundLogger:
    """Return a logger; before `configure`, warnings go to standard error in plain words."""
    if not structlog.is_configured():
        configure(_UNSET, "command")
    return cast(FilteringBoundLogger, structlog.get_logger())


class _StandardError:
    """Standard error as it is at the time of the line: whoever redirects it gets the lines."""

    def write(self, line: bytes) -> None:
        sys.stderr.write(line.decode())

    def flush(self) -> None:
        sys.stderr.flush()


def _process_named(role: str) -> Processor:
    pid = os.getpid()

    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["role"] = role
        event["pid"] = pid
        return event

    return name


def _renderers(settings: LogSettings) -> list[Processor]:
    if settings.format == "json":
        return [structlog.processors.format_exc_info, _as_json]
    console = structlog.dev.ConsoleRenderer(
        colors=False,
        # The default one prints local variables, and with them keys and tokens.
        exception_formatter=structlog.dev.plain_traceback,
    )
    encode: Callable[..., bytes] = lambda logger, method, event: str(  # noqa: E731
        console(logger, method, event)
    ).encode()
    return [encode]


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    """Return the line; whatever JSON does not know is written as its text."""
    return msgspec.json.encode(event, enc_hook=str, order=None)


class _OtherLibraries(logging.Handler):
    """Turns a record of the standard library's logging into a line like ours."""

    def __init__(self, stream: BinaryIO, processors: list[Processor]) -> None:
        super().__init__()
        self._logger = structlog.BytesLogger(stream)
        self._processors = processors

    def emit(self, record: logging.LogRecord) -> None:
        method = record.levelname.lower()
        event: Any = {"event": record.getMessage(), "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for processor in self._processors:
            event = processor(self._logger, method, event)
        self._logger.msg(event)


def _adopt_other_libraries(
    stream: BinaryIO, enrich: list[Processor], render: list[Processor], level: int
) -> None:
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _OtherLibraries)]:
        root.removeHandler(handler)
    root.addHandler(_OtherLibraries(stream, [*enrich, *render]))
    root.setLevel(level)
