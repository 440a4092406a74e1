"""Campaigns and a user's coupons over HTTP; all of it through ASGI, none of it hot."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from firstcome.api.documents import (
    CampaignDocument,
    CampaignList,
    Coupon,
    CouponList,
    described,
    response,
)
from firstcome.api.parts import ApiParts
from firstcome.api.problems import REPLIES
from firstcome.api.replies import Reply, reply
from firstcome.api.requests import Route, asked_by, campaign_id_of, wanted_of
from firstcome.model import Campaign, CampaignId, Status


def handlers(parts: ApiParts) -> list[BaseRouteHandler]:
    """Return the ASGI handlers of campaigns and coupons."""

    @get(
        "/v1/campaigns",
        operation_id="campaigns",
        summary="All campaigns, with the stock that is left",
        responses=described(503),
        tags=["campaigns"],
        security=[],
    )
    async def campaigns() -> Response[CampaignList]:
        listed = await parts.directory.list()
        documents = await asyncio.gather(*(_document(parts, each) for each in listed))
        return _ok(CampaignList(list(documents)))

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
        return _ok(await _document(parts, found))

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
        rows = await parts.directory.coupons_of(asker[0])
        return _ok(
            CouponList(
                [
                    Coupon(
                        campaign_id,
                        name,
                        position,
                        status,
                        parts.codes.code(campaign_id, position)
                        if status == Status.ISSUED
                        else None,
                        issued_at,
                    )
                    for campaign_id, name, position, status, issued_at in rows
                ]
            )
        )

    return [campaigns, campaign, coupons]


async def _document(parts: ApiParts, campaign: Campaign) -> CampaignDocument:
    return CampaignDocument(
        campaign_id=campaign.campaign_id,
        name=campaign.name,
        engine=campaign.engine,
        state=campaign.state,
        stock=campaign.stock,
        stock_left=await parts.intake.stock_left(campaign.campaign_id),
        opens_at=campaign.opens_at,
        closes_at=campaign.closes_at,
    )


def _ok(document: msgspec.Struct) -> Response[Any]:
    return response(reply(200, msgspec.json.encode(document)))
