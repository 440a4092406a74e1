"""A stage for the HTTP side: a real server on a real socket, with scripted parts behind it.

The parts are our own interfaces (Intake, StatusReader, CampaignDirectory, ...), answered by
campaign number, so that every outcome can be asked for. The server runs on uvloop in a thread
of its own, as in production; tests speak to it with blocking sockets, byte by byte.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import uvicorn
import uvloop

from firstcome.api.app import application
from firstcome.api.auth import Authenticator
from firstcome.api.parts import ApiParts, Condition
from firstcome.api.server import server
from firstcome.api.tokens import SharedSecret
from firstcome.errors import DatabaseUnavailable
from firstcome.model import (
    Answer,
    Campaign,
    CampaignId,
    CampaignState,
    Engine,
    Outcome,
    Standing,
    Status,
    UserId,
)
from firstcome.settings import AuthSettings, Settings

SECRET = "a secret of at least thirty-two bytes"
HELD = 90  # claims and questions that wait for Parts.release()
RAISES = 91  # a defect in a part

ANSWERS = {
    1: Answer(Outcome.REQUESTED, 17, Status.REQUESTED),
    2: Answer(Outcome.REQUESTED, 17, Status.REQUESTED, replayed=True),
    3: Answer(Outcome.DUPLICATE, 5, Status.ISSUED),
    4: Answer(Outcome.DUPLICATE),
    5: Answer(Outcome.OUT_OF_STOCK),
    6: Answer(Outcome.NOT_OPEN),
    7: Answer(Outcome.CLOSED),
    8: Answer(Outcome.NOT_FOUND),
    9: Answer(Outcome.UNAVAILABLE),
    10: Answer(Outcome.UNKNOWN),
    11: Answer(Outcome.ISSUED, 17, Status.ISSUED),
    12: Answer(Outcome.ISSUED, 17, Status.ISSUED, replayed=True),
    2**53: Answer(Outcome.REQUESTED, 134_217_727, Status.REQUESTED),
}
STANDINGS = {
    1: Standing(Status.REQUESTED, 17),
    2: Standing(Status.ISSUED, 17),
    3: Standing(Status.UNDER_REVIEW, 17),
    4: Standing(Status.CANCELLED, 17),
    5: Standing(Status.NOT_REQUESTED),
    8: Standing(Status.NOT_REQUESTED, problem=Outcome.NOT_FOUND),
    9: Standing(Status.NOT_REQUESTED, problem=Outcome.UNAVAILABLE),
}


class Parts:
    """Every part behind the HTTP side, in one scripted object."""

    def __init__(self) -> None:
        self.claims: list[tuple[int, str, int]] = []
        self.waits: list[float] = []
        self.held: list[tuple[Callable[[Any], None], Any]] = []
        self.condition = Condition(is_draining=False, redis_away=False, kafka_away=False)
        self.campaigns = 2

    def claim(
        self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Callable[..., None]
    ) -> None:
        self.claims.append((campaign_id, user_id, attempt))
        answer = ANSWERS.get(campaign_id, ANSWERS[1])
        self._say(campaign_id, reply, answer)

    def read(
        self, campaign_id: CampaignId, user_id: UserId, wait_seconds: float, reply: Any
    ) -> None:
        self.waits.append(wait_seconds)
        self._say(campaign_id, reply, STANDINGS.get(campaign_id, STANDINGS[1]))

    def release(self, count: int | None = None) -> None:
        """Answer what is held, the youngest first; for the event loop's thread."""
        for _ in range(len(self.held) if count is None else count):
            reply, said = self.held.pop()
            reply(said)

    def _say(self, campaign_id: int, reply: Callable[[Any], None], said: Any) -> None:
        if campaign_id == RAISES:
            raise RuntimeError("planted")
        if campaign_id == HELD:
            self.held.append((reply, said))
        else:
            reply(said)

    async def list(self) -> Sequence[Campaign]:
        return [_campaign(number + 1) for number in range(self.campaigns)]

    async def get(self, campaign_id: CampaignId) -> Campaign | None:
        if campaign_id == 9:
            raise DatabaseUnavailable("planted")
        if campaign_id == HELD:
            await asyncio.sleep(0.2)
        return _campaign(campaign_id) if campaign_id in ANSWERS or campaign_id == HELD else None

    async def coupons_of(self, user_id: UserId) -> Sequence[tuple[Any, ...]]:
        at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        return [(1, "One", 17, Status.ISSUED, at), (2, "Two", 4, Status.UNDER_REVIEW, at)]

    async def stock_left(self, campaigns: Sequence[Campaign]) -> Sequence[int | None]:
        return [3 if each.campaign_id == 1 else None for each in campaigns]

    def code(self, campaign_id: CampaignId, position: int) -> str:
        return f"CODE-{campaign_id}-{position}"


def _campaign(campaign_id: int) -> Campaign:
    return Campaign(
        CampaignId(campaign_id),
        f"Campaign {campaign_id}",
        Engine.KAFKA,
        CampaignState.OPEN,
        100,
        100,
        datetime(2026, 1, 1, tzinfo=UTC),
        None,
        1,
        1,
        datetime(2025, 12, 31, tzinfo=UTC),
    )


class Stage(NamedTuple):
    """A running server."""

    port: int
    parts: Parts
    loop: asyncio.AbstractEventLoop
    server: uvicorn.Server
    settings: Settings

    def wire(self) -> "Wire":
        return Wire(self.port)

    def token(self, user: str = "user-1", expires_in_seconds: int = 600) -> str:
        return SharedSecret(self.settings.auth, SECRET).sign(UserId(user), expires_in_seconds)

    def holds(self, count: int) -> None:
        """Wait until so many claims and questions are held."""
        eventually(lambda: len(self.parts.held) == count)

    def release(self, count: int | None = None) -> None:
        self.loop.call_soon_threadsafe(self.parts.release, count)

    def claim(self, campaign: object = 1, *headers: str, user: str = "user-1") -> bytes:
        lines = [f"authorization: Bearer {self.token(user)}", *headers]
        return request("POST", f"/v1/campaigns/{campaign}/issuances", *lines)

    def status(self, campaign: object = 1, *headers: str) -> bytes:
        lines = [f"authorization: Bearer {self.token()}", *headers]
        return request("GET", f"/v1/campaigns/{campaign}/issuances/me", *lines)


class Seen(NamedTuple):
    """An answer as it came over the wire; headers sorted, without Date."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


class Wire:
    """One connection of a client that controls every byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._unread = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes, pause_seconds: float = 0.0) -> "Wire":
        for piece in pieces:
            self.socket.sendall(piece)
            if pause_seconds:
                time.sleep(pause_seconds)
        return self

    def answer(self, has_body: bool = True) -> Seen:
        """Read one answer; raises EOFError if the server closes before it is whole."""
        head = self.until(b"\r\n\r\n").decode()
        first, *lines = head.split("\r\n")
        pairs = [line.split(": ", 1) for line in lines if line]
        headers = tuple(sorted((k, v) for k, v in pairs if k != "date"))
        assert any(k == "date" for k, _ in pairs) or " 100 " in first
        length = int(dict(headers).get("content-length", 0)) if has_body else 0
        while len(self._unread) < length:
            self._more()
        body, self._unread = self._unread[:length], self._unread[length:]
        return Seen(int(first.split()[1]), headers, body)

    def until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._more()
        read, _, self._unread = self._unread.partition(mark)
        return read

    def ends(self) -> bool:
        """Wait for the server's end of the connection; False if it says something instead."""
        with contextlib.suppress(ConnectionResetError):
            return not self._unread and not self.socket.recv(1)
        return True

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError(f"closed after {self._unread!r}")
        self._unread += piece


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """Return the bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "host: coupons.example", *headers]
    if body and not any("chunked" in line or "content-length" in line for line in lines):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def settings_of(**api: object) -> Settings:
    """Return settings of a stage; `api` changes settings of that section."""
    return Settings(
        api={"port": 0, **api},
        auth=AuthSettings(secret=SECRET),
    )


def _parts(parts: Parts, settings: Settings, authenticator: Authenticator | None) -> ApiParts:
    return ApiParts(
        intake=parts,
        statuses=parts,
        directory=parts,
        codes=parts,
        authenticator=authenticator or Authenticator(settings.auth),
        condition=lambda: parts.condition,
        settings=settings,
    )


def _plain(api_parts: ApiParts) -> uvicorn.Server:
    config = uvicorn.Config(
        application(api_parts),
        http="httptools",
        ws="none",
        proxy_headers=False,
        server_header=False,
        log_config=None,
        access_log=False,
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def serving(
    settings: Settings | None = None, lane: bool = True, authenticator: Authenticator | None = None
) -> Iterator[Stage]:
    """Serve until the block ends; without `lane`, through ASGI alone."""
    settings = settings or settings_of()
    parts = Parts()
    api_parts = _parts(parts, settings, authenticator)
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listening.getsockname()[1]
    running = server(api_parts, [listening]) if lane else _plain(api_parts)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        thread = threading.Thread(target=runner.run, args=(running.serve([listening]),))
        loop = runner.get_loop()
        thread.start()
        try:
            give_up = time.monotonic() + 10
            while not running.started and thread.is_alive():
                assert time.monotonic() < give_up, "the server did not start"
                time.sleep(0.005)
            yield Stage(port, parts, loop, running, settings)
        finally:
            running.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server did not end"


def eventually(said: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until it holds; say what was seen last if it never does."""
    give_up = time.monotonic() + seconds
    while not (seen := said()):
        assert time.monotonic() < give_up, f"last seen: {seen!r}"
        time.sleep(0.005)
