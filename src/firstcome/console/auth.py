"""Who may operate: the bearer of the operator key, under a name of his own (law L8).

Stands in front of the whole console application, so that a new route is guarded
before anybody thinks of it. Without a configured key nothing but health is served.
"""

import hmac
import re

import msgspec
from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import ValidationException
from litestar.types import ASGIApp, Receive, Scope, Send
from pydantic import SecretStr

from firstcome.console.problems import MEDIA_TYPE, PROBLEMS, headers_of, problem

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
OPERATOR_PATTERN = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")

NO_KEY = (
    "This console has no operator key, so it refuses everybody: set console.operator_key "
    "(FIRSTCOME_CONSOLE__OPERATOR_KEY, at least 32 bytes) and start it again."
)
WRONG_KEY = "Send the operator key as `Authorization: Bearer <key>`."


class OperatorGuard:
    """An ASGI application that lets only operators through to the one behind it."""

    def __init__(self, app: ASGIApp, operator_key: SecretStr | None) -> None:
        self._app = app
        self._key = operator_key.get_secret_value().encode() if operator_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)  # the server's own start and stop
        elif scope["path"] in OPEN_PATHS or self._is_operator(scope):
            await self._app(scope, receive, send)
        else:
            await self._refuse(send)

    def _is_operator(self, scope: Scope) -> bool:
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if self._key is None or len(sent) != 1:
            return False
        scheme, _, key = sent[0].partition(b" ")
        # The comparison takes as long for a nearly right key as for any other.
        return scheme.lower() == b"bearer" and hmac.compare_digest(key, self._key)

    async def _refuse(self, send: Send) -> None:
        detail = NO_KEY if self._key is None else WRONG_KEY
        headers = headers_of("UNAUTHENTICATED") | {"Content-Type": MEDIA_TYPE}
        await send(
            {
                "type": "http.response.start",
                "status": PROBLEMS["UNAUTHENTICATED"][0],
                "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            }
        )
        body = msgspec.json.encode(problem("UNAUTHENTICATED", detail))
        await send({"type": "http.response.body", "body": body, "more_body": False})


def actor_of(request: Request) -> str:  # type: ignore[type-arg]
    """Return who is named in the audit for this change; the key alone names nobody.

    Raises ValidationException (400) when X-Operator is missing or not a name.
    """
    name = request.headers.get("X-Operator", "")
    if not OPERATOR_PATTERN.fullmatch(name):
        raise ValidationException(
            "Say who you are in the header X-Operator: 1 to 64 letters, digits or _ . : @ -"
        )
    return name
