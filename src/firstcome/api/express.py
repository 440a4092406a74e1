"""The express lane: claims and status reads, answered without ASGI.

A subclass of uvicorn's HttpToolsProtocol. It answers the two hot addresses itself and leaves all
others to the ASGI application on the same connection. Express requests stand in uvicorn's own
`cycle` and `pipeline`, so answers keep the order of their requests, a drain waits for answers
owed, and one request of a connection is worked on at a time (RFC 9112 9.3.2). It adds
deadlines and limits, which uvicorn lacks, for both kinds of request. A client that has gone
hurts nobody: replies come from a loop shared with others, so they never raise.
"""

import asyncio
from math import inf
from typing import Any

import structlog
from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade
from httptools.parser.errors import HttpParserInvalidURLError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from firstcome.api.cycle import Cycle, ExpressCycle, Refusal
from firstcome.api.lane import Lane
from firstcome.api.problems import REPLIES
from firstcome.api.replies import Reply
from firstcome.api.requests import Route, asked_by, wanted_of

# Requests of one connection that wait for their turn; more is refused.
PIPELINE_MAX = 256
# Framing of a chunked body, as a multiple of the body: one-byte chunks take six.
_FRAMING_FACTOR = 8
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# What is being received.
_NOTHING, _HEAD, _EXPRESS_BODY, _ASGI_BODY = range(4)

log = structlog.get_logger(__name__)


class _Refused(Exception):
    """Stops the parser: the rest of this connection's input is of no interest."""


class ExpressProtocol(HttpToolsProtocol):
    """One connection."""

    cycle: Any
    pipeline: Any

    def __init__(self, lane: Lane, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self.lane = lane
        # When patience ends, by time.monotonic(); the lane's sweep looks at it.
        self.due = inf
        self._running: Any = None
        self._reading = _NOTHING
        self._trusted = False
        self._surplus = False
        self._draining = False
        # Input is ignored from here on; a last answer may still be on its way.
        self._deaf = False
        # A head may be over the limit: it has to be measured.
        self._large = False
        # The request being received began with the last piece of input.
        self._began = False
        # Bytes of its later pieces.
        self._late_bytes = 0
        self._route: Route | None = None
        self._wanted: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._body_bytes = 0
        self._keep_alive = True
        self._expecting = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; who connects before a drop opens may stay silent as long as between requests."""
        super().connection_made(transport)
        self._trusted = self.lane.authenticator.trusts(self.client[0] if self.client else None)
        others = len(self.connections)
        self._surplus = others > self.lane.connections_max
        if self._surplus:
            self.due = self.lane.linger_due
        elif 2 * others > self.lane.connections_max:
            # Places run short: nobody keeps one for nothing.
            self.due = self.lane.receive_due
        else:
            self.due = self.lane.idle_due

    def connection_lost(self, exc: Exception | None) -> None:
        """End; requests that wait for their turn are dropped, the running one loses its client."""
        self._deaf = True
        for cycle in (self._running, *(queued for queued, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; its callbacks below do the rest."""
        if self._deaf:
            return
        if len(data) > self.lane.header_bytes_max:
            self._large = True
        received = len(data)
        self._began = False
        while data:
            try:
                self.parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                # No protocol to switch to: the request was answered as any other; go on after it.
                data = data[upgrade.args[0] :]
            except HttpParserError as error:
                self._not_parsed(error)
                return
        if self._reading and not self._began:
            self._still_reading(received)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.headers = []
        self.due = self.lane.receive_due
        self._reading = _HEAD
        self._began = True
        self._late_bytes = 0
        self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Remember a header as it came."""
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide who answers this request."""
        if self._large or not self._began:
            self._check_head()
        wanted = self._wanted = wanted_of(self.headers)
        length = wanted.get(b"content-length")
        if length is not None and len(length) > 2 and int(length) > self.lane.body_bytes_max:
            self._refuse_and_stop("BODY_TOO_LARGE")
        if self.pipeline and len(self.pipeline) >= PIPELINE_MAX:
            self._refuse_and_stop("TOO_MANY_REQUESTS")
        if self._surplus:
            self._refuse_and_stop("TEMPORARILY_UNAVAILABLE")
        route = self.lane.route(self.url)
        if route is None or route.method != self.parser.get_method():
            self._leave_to_asgi()
            return
        self._route = route
        self._body = b""
        self._reading = _EXPRESS_BODY
        # The parser may be gone when the answer is there.
        self._keep_alive = self.parser.should_keep_alive() and not (
            b"connection" in wanted and self.parser.get_http_version() == "1.0"
        )
        if b"expect" in wanted:
            self._expecting = wanted[b"expect"].lower() == b"100-continue"
            self._continue_if_expected()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; Content-Length may have lied or been absent."""
        self._body_bytes += len(body)
        if self._body_bytes > self.lane.body_bytes_max:
            self._refuse_and_stop("BODY_TOO_LARGE")
        self._expecting = False
        if self._reading == _EXPRESS_BODY:
            if not self._body:
                self._body = bytearray()
            self._body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is here as a whole."""
        reading, self._reading = self._reading, _NOTHING
        self.due = inf
        if reading == _ASGI_BODY:
            super().on_message_complete()
            if self.cycle.response_complete:
                self.due = self.lane.idle_due
            return
        self._expecting = False
        route, wanted = self._route, self._wanted
        assert route is not None  # noqa: S101 - set when the headers were complete
        asker = asked_by(route, wanted, self._body, self.lane.authenticator, self._trusted)
        origin = wanted.get(b"origin")
        if isinstance(asker, Reply):
            self._take(Refusal(self, asker, self._keep_alive, origin))
        else:
            self._take(ExpressCycle(self, route, asker, self._keep_alive, origin))

    def on_response_complete(self) -> None:
        """An answer is out: begin the next request, or wait for one."""
        self.server_state.total_requests += 1
        if self._draining:
            return
        self._draining = True
        while self.pipeline and not self.transport.is_closing():
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            if not cycle.response_complete:
                break
        self._draining = False
        if self._deaf or self.transport.is_closing():
            return
        if self.cycle.response_complete:
            paused = self.flow.read_paused
            if not self.flow.write_paused:
                self.flow.resume_reading()
            if not self._reading:
                self.due = self.lane.idle_due
            elif paused:
                self.due = self.lane.receive_due
            self._continue_if_expected()

    def pause_writing(self) -> None:
        """The client does not read its answers: read no more of its requests meanwhile."""
        super().pause_writing()
        self.flow.pause_reading()
        self.due = self.lane.receive_due

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._deaf or self.transport.is_closing():
            self.due = self.lane.linger_due
        elif self.cycle is None or self.cycle.response_complete:
            self.due = self.lane.receive_due if self._reading else self.lane.idle_due
            self.flow.resume_reading()
        else:
            self.due = inf

    def overdue(self, now: float) -> None:
        """The deadline has passed: refuse a slow request, close what is idle or stuck."""
        if self._deaf or self.flow.write_paused or self.transport.is_closing():
            self.transport.abort()
        elif not self._reading:
            self.end(lingers=False)
        elif self.flow.read_paused:
            # It is us who do not read: the client is not slow.
            self.due = self.lane.receive_due
        else:
            self._refuse("REQUEST_TIMEOUT")

    def end(self, lingers: bool) -> None:
        """Close after the last byte is out, and tear down if that takes too long.

        Closing with unread input resets the connection, and the client may lose the answer.
        A lingering end stops sending only and lets the client close.
        """
        self.due = self.lane.linger_due
        if lingers and self.transport.can_write_eof():
            self._deaf = True
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _take(self, cycle: Cycle) -> None:
        before = self.cycle
        self.cycle = cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Begin the request whose turn it is, of either kind."""
        self._running = cycle
        if isinstance(cycle, Cycle):
            cycle.start()
        else:
            super()._start_asgi_task(cycle, app)

    def _leave_to_asgi(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        self._reading = _ASGI_BODY

    def _continue_if_expected(self) -> None:
        """Let the client send its body, once everything before it is answered."""
        if self._expecting and (self.cycle is None or self.cycle.response_complete):
            self._expecting = False
            self.transport.write(_CONTINUE)

    def _still_reading(self, received: int) -> None:
        """Bound a request that does not end, whatever it consists of."""
        self._late_bytes += received
        if self._reading == _HEAD:
            if self._late_bytes > self.lane.header_bytes_max:
                self._refuse("HEADERS_TOO_LARGE")
        elif self._late_bytes > (
            self.lane.header_bytes_max + _FRAMING_FACTOR * self.lane.body_bytes_max
        ):
            self._refuse("BODY_TOO_LARGE")

    def _check_head(self) -> None:
        # Two bytes of ": ", two of the line's end; sixteen for method, version and spaces.
        head_bytes = 16 + len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers)
        if head_bytes > self.lane.header_bytes_max:
            self._refuse_and_stop("HEADERS_TOO_LARGE")

    def _not_parsed(self, error: HttpParserError) -> None:
        cause = error.__context__ if isinstance(error, HttpParserCallbackError) else None
        if self._deaf:
            return
        if cause is None or isinstance(cause, HttpParserInvalidURLError):
            self._refuse("MALFORMED_REQUEST")
        else:
            log.error("request_failed", exc_info=cause)
            self._refuse("INTERNAL_ERROR")

    def _refuse_and_stop(self, code: str) -> None:
        self._refuse(code)
        raise _Refused

    def _refuse(self, code: str) -> None:
        """Answer the request being received with a problem, after all answers owed, and end."""
        self._deaf = True
        self.due = inf
        refusal = Refusal(self, REPLIES[code], keep_alive=False, origin=None, lingers=True)
        if self._reading != _ASGI_BODY:
            self._take(refusal)
            return
        late = self.cycle
        late.disconnected = True
        late.message_event.set()
        self.cycle = refusal
        if self.pipeline:
            self.pipeline[0] = (refusal, self.app)
        elif late.response_started:
            self.transport.close()
        else:
            self._start_asgi_task(refusal, self.app)
