"""Addresses for those who run and use the service: probes, problem pages, OpenAPI."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from firstcome.api.documents import Health, ProblemPage, described, response
from firstcome.api.parts import ApiParts
from firstcome.api.problems import PROBLEMS, REPLIES, refusal
from firstcome.api.replies import reply

_READY_TIMEOUT_SECONDS = 2.0
_ALIVE = reply(200, msgspec.json.encode(Health("alive")))
_READY = reply(200, msgspec.json.encode(Health("ready")))


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
        summary="Can this process work?",
        responses=described(503),
        tags=["operation"],
        security=[],
    )
    async def readyz() -> Response[Health]:
        try:
            missing = await asyncio.wait_for(parts.ready(), _READY_TIMEOUT_SECONDS)
        except TimeoutError:
            missing = f"The check took longer than {_READY_TIMEOUT_SECONDS:g} seconds."
        return response(_READY if missing is None else refusal("NOT_READY", missing))

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
