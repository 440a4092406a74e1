"""The ASGI application: every address of the public port.

Behind the express lane on the same port. It knows the two hot addresses as well, so that
OpenAPI describes them and unusual spellings of them are answered; a test holds the two doors
equal, byte for byte.
"""

from importlib.metadata import version
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod, ScopeType
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp, Receive, Scope, Send

from firstcome.api import campaigns, issuances, operations, page
from firstcome.api.cors import Cors, Origins
from firstcome.api.documents import response
from firstcome.api.parts import ApiParts
from firstcome.api.problems import REPLIES, refusal
from firstcome.errors import Unavailable

log = structlog.get_logger(__name__)


def application(parts: ApiParts) -> ASGIApp:
    """Return the ASGI application that answers with these parts."""
    app = Litestar(
        route_handlers=[
            *issuances.handlers(parts),
            *campaigns.handlers(parts),
            *operations.handlers(parts),
        ],
        exception_handlers={
            HTTPException: _refused_by_framework,
            Unavailable: _unavailable,
            Exception: _failed,
        },
        on_startup=[parts.authenticator.start],
        openapi_config=_openapi(),
        request_max_body_size=parts.settings.api.body_bytes_max,
        logging_config=None,
    )
    origins = parts.settings.api.cors_origins
    return Cors(_Head(app), Origins(origins)) if origins else _Head(app)


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="firstcome",
        version=version("firstcome"),
        description="First come, first served coupon drops. Every refusal is a problem document.",
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
            }
        ),
        security=[{"token": []}],
        openapi_router=page.router(),
        render_plugins=[page.Page()],
    )


class _Head:
    """Answers HEAD as GET; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] == HttpMethod.HEAD:
            scope = scope.copy()
            scope["method"] = HttpMethod.GET
        await self._app(scope, receive, send)


def _refused_by_framework(_: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if error.status_code == 405:
        known = set((error.headers or {}).get("allow", "").split(", "))
        allowed = ", ".join(sorted(known | {"HEAD"} if "GET" in known else known))
        return response(refusal("METHOD_NOT_ALLOWED", None, b"allow: " + allowed.encode()))
    if error.status_code == 413:
        # What is left of the body would be taken for the next request.
        answer = response(REPLIES["BODY_TOO_LARGE"])
        answer.headers["connection"] = "close"
        return answer
    if error.status_code == 404:
        return response(REPLIES["NOT_FOUND"])
    if error.status_code < 500:
        return response(REPLIES["INVALID_PARAMETER"])
    log.error("request_failed", exc_info=error)
    return response(REPLIES["INTERNAL_ERROR"])


def _unavailable(_: Request[Any, Any, Any], error: Unavailable) -> Response[Any]:
    log.warning("request_not_served", error=str(error))
    return response(REPLIES["TEMPORARILY_UNAVAILABLE"])


def _failed(_: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("request_failed", exc_info=error)
    return response(REPLIES["INTERNAL_ERROR"])
