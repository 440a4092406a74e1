"""No page hangs: what an engine's silence looks like from outside."""

import asyncio
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from console_stage import BROWSER, Stage
from litestar import Litestar, get, post
from litestar.response import Stream
from litestar.testing import TestClient

from firstcome.console.patience import Patience

pytestmark = pytest.mark.unit

silent = threading.Event()


@get("/look", sync_to_thread=True)
def look() -> str:
    """Wait for an engine that is silent."""
    silent.wait(5)
    return "late"


@post("/change", sync_to_thread=True)
def change() -> str:
    """Wait for it as well."""
    silent.wait(5)
    return "late"


@get("/long")
async def long() -> Stream:
    """Begin at once and take long."""

    async def pieces() -> Any:
        for piece in ("a", "b", "c"):
            yield piece
            await asyncio.sleep(0.2)

    return Stream(pieces())


@pytest.fixture
def client() -> Iterator[TestClient[Any]]:
    """An application whose patience is short."""
    silent.clear()
    app = Patience(
        Litestar([look, change, long]),
        lambda scope, code, detail: ("text/html", f"<p>{code}".encode()),
        look_seconds=0.3,
        change_seconds=0.3,
    )
    with TestClient(app) as client:
        yield client
        silent.set()


def test_page_says_in_time_that_an_engine_is_silent(client: TestClient[Any]) -> None:
    began = monotonic()
    answer = client.get("/look", headers=BROWSER)
    assert (answer.status_code, answer.text) == (503, "<p>TEMPORARILY_UNAVAILABLE")
    assert answer.headers["retry-after"]
    assert monotonic() - began < 3


def test_change_that_may_still_be_done_is_told_as_unknown(client: TestClient[Any]) -> None:
    answer = client.post("/change")
    assert answer.json()["code"] == "OUTCOME_UNKNOWN"


def test_answer_that_has_begun_may_take_long(client: TestClient[Any]) -> None:
    assert client.get("/long").text == "abc"


def test_pages_that_ask_no_engine_answer_while_thirty_others_wait(stage: Stage) -> None:
    stage.sign_in("admin")
    stage.shop.may_answer.clear()
    waiting = [
        threading.Thread(target=stage.client.get, args=("/v1/campaigns",), daemon=True)
        for _ in range(30)
    ]
    for each in waiting:
        each.start()
    began = monotonic()
    assert stage.get("/health").status_code == 200
    assert stage.get("/operators").status_code == 200
    assert monotonic() - began < 5
    stage.shop.may_answer.set()
    for each in waiting:
        each.join()
