"""Which origins browsers may call from (the Fetch standard's CORS protocol).

Used by both doors, so that they agree. Without configured origins nothing is added and
browsers keep foreign pages out. Tokens travel in a header, never in a cookie, so
credentials are not allowed for.
"""

from collections.abc import Sequence
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_EXPOSED = b"Location, Retry-After, Idempotency-Replayed"
_METHODS = b"GET, HEAD, POST"
_ACCEPTED = b"Authorization, Content-Type, Idempotency-Key"
_PREFLIGHT_SECONDS = b"600"

Headers = list[tuple[bytes, bytes]]


class Origins:
    """The origins of the settings; `*` means any."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._known = frozenset(origin.encode() for origin in origins)
        self._lines: dict[bytes | None, bytes] = {}

    def headers_for(self, origin: bytes | None) -> Headers:
        """Return what an answer to a page of this origin carries."""
        if b"*" in self._known:
            allowed: Headers = [(b"access-control-allow-origin", b"*")]
        else:
            # The answer differs by origin even where there is none: caches must know.
            allowed = [(b"vary", b"Origin")]
            if origin not in self._known or origin is None:
                return allowed
            allowed.append((b"access-control-allow-origin", origin))
        return [*allowed, (b"access-control-expose-headers", _EXPOSED)]

    def lines_for(self, origin: bytes | None) -> bytes:
        """Return the same as header lines."""
        known = origin if origin in self._known else None
        lines = self._lines.get(known)
        if lines is None:
            pairs = self.headers_for(known)
            lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
            self._lines[known] = lines
        return lines

    def permission_for(self, origin: bytes | None) -> Headers:
        """Return what the answer to a preflight carries."""
        headers = self.headers_for(origin)
        if not any(name == b"access-control-allow-origin" for name, _ in headers):
            return headers
        return [
            *headers[:-1],
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _ACCEPTED),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]


class Cors:
    """Wraps the ASGI application: answers preflights, adds the headers to all else."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        asked: dict[bytes, bytes] = dict(scope["headers"])
        origin = asked.get(b"origin")
        if scope["method"] == "OPTIONS" and origin and b"access-control-request-method" in asked:
            start: Any = {
                "type": "http.response.start",
                "status": 204,
                "headers": self._origins.permission_for(origin),
            }
            await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._origins.headers_for(origin)]
            await send(message)

        await self._app(scope, receive, send_with_headers)
