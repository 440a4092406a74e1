"""What the express lane relies on in uvicorn: a new version must not change it unseen."""

import inspect
from importlib.metadata import version

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from firstcome.api.cycle import Cycle
from firstcome.api.express import ExpressProtocol

pytestmark = pytest.mark.unit


def test_uvicorn_is_the_pinned_version() -> None:
    assert version("uvicorn") == "0.54.0"


@pytest.mark.parametrize(
    "name",
    [
        "connection_made",
        "connection_lost",
        "data_received",
        "on_message_begin",
        "on_url",
        "on_header",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
        "on_response_complete",
        "pause_writing",
        "resume_writing",
        "shutdown",
        "_start_asgi_task",
    ],
)
def test_protocol_has_the_methods_that_the_lane_overrides_or_calls(name: str) -> None:
    ours = inspect.signature(getattr(ExpressProtocol, name))
    theirs = inspect.signature(getattr(HttpToolsProtocol, name))
    assert list(ours.parameters) == list(theirs.parameters)


def test_protocol_has_the_state_that_the_lane_uses() -> None:
    source = inspect.getsource(HttpToolsProtocol.__init__)
    for name in (
        "parser",
        "app",
        "loop",
        "server_state",
        "connections",
        "transport",
        "flow",
        "client",
        "pipeline",
        "headers",
        "cycle",
    ):
        assert f"self.{name}" in source
    names = HttpToolsProtocol.__init__.__code__.co_varnames
    assert names[1:5] == ("config", "server_state", "app_state", "_loop")


def test_cycle_stands_in_for_that_of_uvicorn() -> None:
    used = "".join(inspect.getsource(HttpToolsProtocol).split())
    for name in ("response_complete", "keep_alive", "disconnected", "message_event"):
        assert f"cycle.{name}" in used
        assert hasattr(Cycle, name)
        assert f"self.{name}" in inspect.getsource(RequestResponseCycle)


def test_pipeline_is_filled_on_the_left_and_emptied_on_the_right() -> None:
    # A late refusal takes the place of the youngest entry: pipeline[0].
    assert "self.pipeline.appendleft((self.cycle, app))" in inspect.getsource(HttpToolsProtocol)
    assert "self.pipeline.pop()" in inspect.getsource(HttpToolsProtocol)


def test_flow_control_and_server_have_what_is_used() -> None:
    for name in ("pause_reading", "resume_reading", "pause_writing", "resume_writing"):
        assert callable(getattr(FlowControl, name))
    assert {"read_paused", "write_paused"} <= set(FlowControl.__init__.__code__.co_names)
    assert {"total_requests", "connections"} <= set(vars(ServerState()))
    assert inspect.iscoroutinefunction(Server.on_tick)
    assert "_captured_signals" in vars(Server(uvicorn.Config("x:y", log_config=None)))
    assert "self.http_protocol_class = self.http" in inspect.getsource(uvicorn.Config.load)


def test_httptools_has_the_parser_that_is_used() -> None:
    parser = httptools.HttpRequestParser(object())
    for name in ("feed_data", "get_method", "get_http_version", "should_keep_alive"):
        assert callable(getattr(parser, name))
