"""Addresses for those who run and use the service: probes, problem pages, OpenAPI."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from firstcome.api.documents import Health, ProblemPage, Readiness, described, response
from firstcome.api.parts import ApiParts
from firstcome.api.problems import PROBLEMS, REPLIES, refusal
from firstcome.api.replies import reply

_ALIVE = reply(200, msgspec.json.encode(Health("alive")))
_DRAINING = refusal(
    "NOT_READY",
    "This process is stopping: it answers what it has begun and takes no more. "
    "Send requests to another process.",
)
_READYZ = (
    "Ready means: send requests here. While an engine is away, claims that need it hear 503 with "
    "Retry-After from every process alike, and everything else is answered."
)


def handlers(parts: ApiParts) -> list[BaseRouteHandler]:
    """Return the ASGI handlers for operation."""

    @get(
        "/healthz",
        operation_id="healthz",
        summary="Does this process live?",
        tags=["operation"],
        security=[],
    )
    async def healthz() -> Response[Health]:
        return response(_ALIVE)

    @get(
        "/readyz",
        operation_id="readyz",
        summary="Does this process answer requests?",
        description=_READYZ,
        responses=described(503),
        tags=["operation"],
        security=[],
    )
    async def readyz() -> Response[Readiness]:
        condition = parts.condition()
        if condition.is_draining:
            return response(_DRAINING)
        told = Readiness(
            "ready",
            redis="away" if condition.redis_away else "there",
            kafka="away" if condition.kafka_away else "there",
        )
        return response(reply(200, msgspec.json.encode(told)))

    @get(
        "/problems/{name:str}",
        operation_id="problem",
        summary="What a problem means",
        responses=described(404),
        tags=["operation"],
        security=[],
    )
    async def problem(name: FromPath[str]) -> Response[ProblemPage]:
        page = _PAGES.get(name)
        return response(REPLIES["NOT_FOUND"] if page is None else page)

    @get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
        return response(reply(200, msgspec.json.encode(request.app.openapi_schema.to_schema())))

    return [healthz, readyz, problem, openapi]


_PAGES = {
    each.path.rpartition("/")[2]: reply(
        200,
        msgspec.json.encode(
            ProblemPage(each.code, each.status, each.title, each.happened, each.place, each.remedy)
        ),
    )
    for each in PROBLEMS.values()
}
