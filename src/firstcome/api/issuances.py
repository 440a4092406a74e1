"""Claims and their status over HTTP: how each answer is told, and the ASGI handlers.

The express lane tells answers with the same functions; the handlers here are the second
door to the same Intake and StatusReader. They feed OpenAPI and take every spelling of a
request that the lane leaves alone (HEAD, percent signs, other parameters).
"""

import asyncio
from typing import Any, TypeVar

from litestar import Request, Response, get, post
from litestar.exceptions import InternalServerException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, FromQuery

from firstcome.api.documents import Issuance, described, response
from firstcome.api.parts import ApiParts
from firstcome.api.problems import REPLIES, duplicate
from firstcome.api.replies import Reply, reply
from firstcome.api.requests import Route, asked_by, campaign_id_of, wait_of, wanted_of
from firstcome.api.tally import answered, begun, told
from firstcome.model import Answer, CampaignId, Outcome, Standing, Status, UserId

T = TypeVar("T")

_CLAIM_MEANS = (
    "First come, first served. 202 REQUESTED is a promise: the place is yours. 201 ISSUED, from "
    "campaigns of the engine `direct`, is the coupon itself. Send an Idempotency-Key and repeat "
    "it when you ask again: the same key gets the same answer."
)
_STATUS_MEANS = "With `wait`, the answer waits until the status is final, at most so many seconds."


def reply_to_claim(campaign_id: CampaignId, answer: Answer) -> Reply:
    """Return the reply that tells an answer; only REQUESTED and ISSUED are promises."""
    outcome = answer.outcome
    if outcome is Outcome.REQUESTED:
        return _promise(202, campaign_id, answer)
    if outcome is Outcome.ISSUED:
        return _promise(201, campaign_id, answer)
    if outcome is Outcome.DUPLICATE:
        return duplicate(answer.position, answer.status)
    return REPLIES[outcome]


def _promise(status: int, campaign_id: CampaignId, answer: Answer) -> Reply:
    body = b'{"campaign_id":%d,"position":%d,"status":"%b"}' % (
        campaign_id,
        answer.position,
        answer.outcome.encode(),
    )
    return Reply(
        status,
        b"content-type: application/json\r\ncontent-length: %d\r\ncache-control: no-store\r\n"
        b"location: /v1/campaigns/%d/issuances/me\r\n%b\r\n%b"
        % (
            len(body),
            campaign_id,
            b"idempotency-replayed: true\r\n" if answer.replayed else b"",
            body,
        ),
    )


def reply_to_status(campaign_id: CampaignId, standing: Standing) -> Reply:
    """Return the reply that tells where a user stands."""
    if standing.problem is not None:
        return REPLIES[standing.problem]
    if standing.status is Status.NOT_REQUESTED:
        return REPLIES["NOT_REQUESTED"]
    return reply(
        200,
        b'{"campaign_id":%d,"position":%d,"status":"%b"}'
        % (campaign_id, standing.position, standing.status.encode()),
    )


def handlers(parts: ApiParts) -> list[BaseRouteHandler]:
    """Return the ASGI handlers of claims and status."""
    return [_claim(parts), _status(parts)]


def _claim(parts: ApiParts) -> BaseRouteHandler:
    @post(
        "/v1/campaigns/{campaign_id:str}/issuances",
        status_code=202,
        operation_id="claim",
        summary="Ask for a coupon",
        description=_CLAIM_MEANS,
        responses=described(400, 401, 404, 409, 413, 415, 429, 503),
        tags=["issuances"],
    )
    async def claim(
        request: Request[Any, Any, Any], campaign_id: FromPath[str]
    ) -> Response[Issuance]:
        number = campaign_id_of(campaign_id.encode())
        if number is None:
            return response(REPLIES["CAMPAIGN_NOT_FOUND"])
        try:
            body = await request.body()
        except InternalServerException:
            # Litestar's word for a client that has gone; nobody reads this answer.
            return response(REPLIES["REQUEST_TIMEOUT"])
        asker = _asker(parts, request, Route(b"POST", number, 0.0), body)
        if isinstance(asker, Reply):
            return response(asker)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        user_id, attempt = asker
        since = begun()
        parts.intake.claim(number, user_id, attempt, lambda said: _resolve(answer, said))
        said = await answer
        answered(said.outcome, since)
        return response(reply_to_claim(number, said))

    return claim


def _status(parts: ApiParts) -> BaseRouteHandler:
    @get(
        "/v1/campaigns/{campaign_id:str}/issuances/me",
        operation_id="status",
        summary="Where do I stand?",
        description=_STATUS_MEANS,
        responses=described(400, 401, 404, 503),
        tags=["issuances"],
    )
    async def status(
        request: Request[Any, Any, Any],
        campaign_id: FromPath[str],
        wait: FromQuery[str | None] = None,
    ) -> Response[Issuance]:
        number = campaign_id_of(campaign_id.encode())
        if number is None:
            return response(REPLIES["CAMPAIGN_NOT_FOUND"])
        waits = request.query_params.getall("wait", ["0"])
        longest = parts.settings.intake.status_wait_seconds_max
        wait_seconds = wait_of(waits[0].encode(), longest) if len(waits) == 1 else None
        if wait_seconds is None:
            return response(REPLIES["INVALID_PARAMETER"])
        asker = _asker(parts, request, Route(b"GET", number, wait_seconds), b"")
        if isinstance(asker, Reply):
            return response(asker)
        standing: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        parts.statuses.read(number, asker[0], wait_seconds, lambda said: _resolve(standing, said))
        said = await standing
        told()
        return response(reply_to_status(number, said))

    return status


def _asker(
    parts: ApiParts, request: Request[Any, Any, Any], asked: Route, body: bytes
) -> tuple[UserId, int] | Reply:
    wanted = wanted_of(request.scope["headers"])
    trusted = parts.authenticator.trusts(request.client.host if request.client else None)
    return asked_by(asked, wanted, body, parts.authenticator, trusted)


def _resolve(future: asyncio.Future[T], said: T) -> None:
    # The client may have gone, which cancelled the future.
    if not future.done():
        future.set_result(said)
