"""One keep-alive connection of the generator: one request in flight, no pipelining.

It reads just what the contract fixes (status, length, code, position), because
every microsecond spent here is one that the system under load does not get when
both share the machine. It judges nothing: the load decides what an answer means.
"""

import asyncio
from typing import NamedTuple, Protocol, cast

from firstcome.bench.answers import CONNECTION_LOST, NUMBER, REQUESTED, UNEXPECTED

_CODES = {code.encode(): number for code, number in NUMBER.items()}


class Head(NamedTuple):
    """What the status line and the headers of an answer say."""

    accepted: bool = False
    length: int = 0
    size: int = 0  # of the whole answer, in bytes
    replayed: bool = False
    retry_after: float = 0.0  # seconds; 0: the server did not say
    closing: bool = False


NONE = Head()

# A server says the same heads over and over: few are ever parsed.
_heads: dict[bytes, Head] = {}
_HEADS_MAX = 4096


def head_of(data: bytes) -> Head:
    """Return what a status line with headers says. Raises ValueError when it is no HTTP."""
    if (head := _heads.get(data)) is not None:
        return head
    status, *lines = data.decode("ascii").split("\r\n")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if not status.startswith("HTTP/1.1 ") or not fields.get("content-length", "").isdigit():
        raise ValueError(f"no answer of the contract: {data[:80]!r}")
    retry_after = fields.get("retry-after", "")
    length = int(fields["content-length"])
    head = Head(
        accepted=status.startswith(("202", "201"), 9),
        length=length,
        size=len(data) + length,
        replayed=fields.get("idempotency-replayed") == "true",
        retry_after=float(retry_after) if retry_after.isdigit() else 0.0,
        closing=fields.get("connection", "").lower() == "close",
    )
    if len(_heads) >= _HEADS_MAX:
        _heads.clear()
    _heads[data] = head
    return head


def position_in(data: bytes, body: int) -> int:
    """Return the position that a body names, or 0."""
    at = data.find(b'"position":', body) + 11
    if at < 11:
        return 0
    end = data.find(b",", at)
    return int(data[at:end]) if end > 0 else 0


def code_in(data: bytes, body: int) -> int:
    """Return the number of the code that a problem's body names."""
    at = data.find(b'"code":"', body) + 8
    return UNEXPECTED if at < 8 else _CODES.get(data[at : data.find(b'"', at)], UNEXPECTED)


class Heard(Protocol):
    """Whom a connection tells what happened to it."""

    def opened(self, connection: "Connection") -> None:
        """The connection is there, and can take a request."""

    def free(self, connection: "Connection") -> None:
        """The connection can take a request."""

    def answered(self, request: int, code: int, position: int, head: Head) -> None:
        """A request has its answer: a number of answers.CODES and what came with it."""

    def gone(self, connection: "Connection") -> None:
        """The connection is lost; a request that was in flight has been answered so."""


class Connection(asyncio.Protocol):
    """One TCP connection. `request` is the request in flight, or -1."""

    __slots__ = ("_heard", "_rest", "_transport", "request", "sent_at")

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._rest = b""
        self.request = -1
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Offer the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._heard.opened(self)

    def send(self, request: int, content: bytes, now: float) -> None:
        """Send a request; its answer, or its loss, is told exactly once."""
        self.request = request
        self.sent_at = now
        self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        """Collect an answer and pass it on."""
        if self._rest:
            data = self._rest + data
        body = data.find(b"\r\n\r\n") + 4
        head, code, position = NONE, UNEXPECTED, 0
        try:
            if body < 4 or len(data) < body + (head := head_of(data[:body])).length:
                self._rest = data
                return
            position = position_in(data, body)
            if not head.accepted:
                code = code_in(data, body)
            elif position:
                code = REQUESTED
        except ValueError:
            self.give_up(UNEXPECTED)
            return
        self._rest = b""
        request, self.request = self.request, -1
        if request < 0:
            self._transport.abort()
            return
        self._heard.answered(request, code, position, head)
        if head.closing:
            self._transport.abort()
        else:
            self._heard.free(self)

    def give_up(self, code: int) -> None:
        """End the request in flight with a code of ours, and the connection with it."""
        request, self.request = self.request, -1
        if request >= 0:
            self._heard.answered(request, code, 0, NONE)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer the request in flight, and ask to be replaced."""
        request, self.request = self.request, -1
        if request >= 0:
            self._heard.answered(request, CONNECTION_LOST, 0, NONE)
        self._heard.gone(self)
