"""The JSON documents of the public port, as OpenAPI describes them and as ASGI sends them."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Response
from litestar.openapi.datastructures import ResponseSpec

from firstcome.api.problems import PROBLEMS
from firstcome.api.replies import PROBLEM_JSON, Reply
from firstcome.model import CampaignState, Engine, Status


class Issuance(msgspec.Struct):
    """A user's place in a campaign."""

    campaign_id: int
    position: int
    status: Status


class Place(msgspec.Struct):
    """The place that a duplicate request already has."""

    position: int
    status: Status


class ProblemDocument(msgspec.Struct, omit_defaults=True):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    issuance: Place | None = None


class ProblemPage(msgspec.Struct):
    """What a problem's `type` leads to."""

    code: str
    status: int
    title: str
    what_happened: str
    your_place: str
    what_to_do: str


class CampaignDocument(msgspec.Struct):
    """An offer. stock_left may be a second old, and is null while it is not known."""

    campaign_id: int
    name: str
    engine: Engine
    state: CampaignState
    stock: int
    stock_left: int | None
    opens_at: datetime | None
    closes_at: datetime | None


class CampaignList(msgspec.Struct):
    """Campaigns, oldest first. next_after is where the next page begins, null after the last."""

    campaigns: list[CampaignDocument]
    next_after: int | None


class Coupon(msgspec.Struct):
    """A coupon of the user; only an ISSUED one has a code."""

    campaign_id: int
    campaign_name: str
    position: int
    status: Status
    code: str | None
    issued_at: datetime


class CouponList(msgspec.Struct):
    """The user's coupons."""

    coupons: list[Coupon]


class Health(msgspec.Struct):
    """What a probe wants to know."""

    status: str


class Readiness(msgspec.Struct):
    """Whether this process answers, and how the engines look from it: each is there or away.

    An engine that is away does not make a process unready: all processes share the engines.
    """

    status: Literal["ready"]
    redis: Literal["there", "away"]
    kafka: Literal["there", "away"]


def described(*statuses: int) -> dict[int, ResponseSpec]:
    """Return what OpenAPI says of these refusals."""
    return {
        status: ResponseSpec(
            data_container=ProblemDocument,
            description=", ".join(p.code for p in PROBLEMS.values() if p.status == status),
            media_type=PROBLEM_JSON.decode(),
            generate_examples=False,
        )
        for status in statuses
    }


def response(reply: Reply) -> Response[Any]:
    """Return a reply in the form that the ASGI application sends."""
    headers = reply.headers
    media_type = headers.pop("content-type")
    del headers["content-length"]
    return Response(
        content=reply.body, status_code=reply.status, headers=headers, media_type=media_type
    )
