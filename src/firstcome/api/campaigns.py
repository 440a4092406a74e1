"""Campaigns and a user's coupons over HTTP; all of it through ASGI, none of it hot."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, Parameter

from firstcome.api.documents import (
    CampaignDocument,
    CampaignList,
    Coupon,
    CouponList,
    described,
    response,
)
from firstcome.api.parts import ApiParts, CouponRow
from firstcome.api.problems import REPLIES
from firstcome.api.replies import Reply, reply
from firstcome.api.requests import CAMPAIGN_ID_MAX, Route, asked_by, campaign_id_of, wanted_of
from firstcome.model import Campaign, CampaignId, Status

# Campaigns of one page. A page of the most takes some milliseconds of the process that tells it.
LISTED, LISTED_MAX = 100, 500
_Limit = Annotated[
    int, Parameter(ge=1, le=LISTED_MAX, description="How many campaigns at most; 100 by default.")
]
_After = Annotated[
    int,
    Parameter(
        ge=0,
        le=CAMPAIGN_ID_MAX,
        description="Only campaigns with a higher number: `next_after` of the page before.",
    ),
]


def handlers(parts: ApiParts) -> list[BaseRouteHandler]:
    """Return the ASGI handlers of campaigns and coupons."""

    @get(
        "/v1/campaigns",
        operation_id="campaigns",
        summary="All campaigns, page by page, with the stock that is left",
        responses=described(400, 503),
        tags=["campaigns"],
        security=[],
    )
    async def campaigns(limit: _Limit = LISTED, after: _After = 0) -> Response[CampaignList]:
        known = await parts.directory.list()
        start = bisect_right(known, after, key=attrgetter("campaign_id"))
        page = known[start : start + limit]
        is_last = start + limit >= len(known)
        next_after = None if is_last else page[-1].campaign_id
        return _ok(CampaignList(await _documents(parts, page), next_after))

    @get(
        "/v1/campaigns/{campaign_id:str}",
        operation_id="campaign",
        summary="One campaign, with the stock that is left",
        responses=described(404, 503),
        tags=["campaigns"],
        security=[],
    )
    async def campaign(campaign_id: FromPath[str]) -> Response[CampaignDocument]:
        number = campaign_id_of(campaign_id.encode())
        found = None if number is None else await parts.directory.get(number)
        if found is None:
            return response(REPLIES["CAMPAIGN_NOT_FOUND"])
        return _ok((await _documents(parts, [found]))[0])

    @get(
        "/v1/users/me/coupons",
        operation_id="coupons",
        summary="My coupons, with their codes",
        responses=described(400, 401, 503),
        tags=["coupons"],
    )
    async def coupons(request: Request[Any, Any, Any]) -> Response[CouponList]:
        trusted = parts.authenticator.trusts(request.client.host if request.client else None)
        wanted = wanted_of(request.scope["headers"])
        # Whose coupons: read as a status is.
        asker = asked_by(
            Route(b"GET", CampaignId(0), 0.0), wanted, b"", parts.authenticator, trusted
        )
        if isinstance(asker, Reply):
            return response(asker)
        held = await parts.directory.coupons_of(asker[0])
        return _ok(CouponList([_coupon(parts, each) for each in held]))

    return [campaigns, campaign, coupons]


async def _documents(parts: ApiParts, campaigns: Sequence[Campaign]) -> list[CampaignDocument]:
    left = await parts.intake.stock_left(campaigns)
    return [
        CampaignDocument(
            campaign_id=campaign.campaign_id,
            name=campaign.name,
            engine=campaign.engine,
            state=campaign.state,
            stock=campaign.stock,
            stock_left=stock_left,
            opens_at=campaign.opens_at,
            closes_at=campaign.closes_at,
        )
        for campaign, stock_left in zip(campaigns, left, strict=True)
    ]


def _coupon(parts: ApiParts, held: CouponRow) -> Coupon:
    campaign_id, name, position, status, issued_at = held
    is_issued = status == Status.ISSUED
    code = parts.codes.code(campaign_id, position) if is_issued else None
    return Coupon(campaign_id, name, position, status, code, issued_at)


def _ok(document: msgspec.Struct) -> Response[Any]:
    return response(reply(200, msgspec.json.encode(document)))
