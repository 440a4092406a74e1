"""The client that the README shows: runs as printed, against a server that makes trouble first."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "README.ko.md")
Claim = Callable[[str, int, str], dict[str, Any]]

UNKNOWN = (503, {"status": 503, "code": "OUTCOME_UNKNOWN"})
UNAVAILABLE = (503, {"status": 503, "code": "TEMPORARILY_UNAVAILABLE"})
REQUESTED = (202, {"campaign_id": 5, "position": 1, "status": "REQUESTED"})
WAITING = (200, {"campaign_id": 5, "position": 1, "status": "REQUESTED"})
ISSUED = (200, {"campaign_id": 5, "position": 1, "status": "ISSUED"})
SOLD_OUT = (409, {"status": 409, "code": "COUPON_OUT_OF_STOCK"})
HANG_UP = (0, {})


class Scripted(ThreadingHTTPServer):
    """Answers the scripted answers in turn, and remembers what it was asked."""

    def __init__(self, answers: list[tuple[int, dict[str, Any]]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Idempotency-Key"]))
        status, body = self.server.answers.pop(0)
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    servers = []

    def start(*answers: tuple[int, dict[str, Any]]) -> Scripted:
        server = Scripted(list(answers))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def python_of(page: str) -> str:
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return str(block)


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch) -> Claim:
    names: dict[str, Any] = {}
    exec(compile(python_of("README.md"), "README.md", "exec"), names)  # noqa: S102
    monkeypatch.setattr(names["time"], "sleep", lambda _: None)
    found: Claim = names["claim"]
    return found


def test_both_pages_show_the_same_client() -> None:
    first, second = (python_of(page) for page in PAGES)
    assert first == second


def test_client_keeps_its_key_until_the_coupon_is_issued(
    claim: Claim, scripted: Callable[..., Scripted]
) -> None:
    server = scripted(UNAVAILABLE, HANG_UP, UNKNOWN, REQUESTED, UNAVAILABLE, WAITING, ISSUED)

    assert claim(server.url, 5, "token")["status"] == "ISSUED"

    assert [method for method, _, _ in server.asked] == ["POST"] * 4 + ["GET"] * 3
    assert len({key for _, _, key in server.asked}) == 1
    assert server.asked[-1][1] == "/v1/campaigns/5/issuances/me?wait=20"


def test_client_stops_at_a_refusal(claim: Claim, scripted: Callable[..., Scripted]) -> None:
    server = scripted(UNKNOWN, SOLD_OUT)
    assert claim(server.url, 5, "token")["code"] == "COUPON_OUT_OF_STOCK"
    assert len(server.asked) == 2


def test_client_uses_another_key_for_another_claim(
    claim: Claim, scripted: Callable[..., Scripted]
) -> None:
    server = scripted(SOLD_OUT, SOLD_OUT)
    claim(server.url, 5, "token")
    claim(server.url, 6, "token")
    assert len({key for _, _, key in server.asked}) == 2
