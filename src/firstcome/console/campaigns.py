"""What operators do with campaigns: make, look, change, restock, stop, put away, export.

Every change is one call of firstcome.campaigns, the same one that the command line
makes, with the operator's name for the audit. The gate follows within a sweeper's
tick; an answer here says what PostgreSQL holds, which is what decides.
"""

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Annotated, Any

import msgspec
from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from litestar.response import Response, Stream
from msgspec import UNSET, Meta, UnsetType

from firstcome.campaigns import Campaigns, Winner
from firstcome.campaigns.commands import NAME_MAX
from firstcome.console.archive import Archive
from firstcome.console.audit import AuditTrail
from firstcome.model import STOCK_MAX, Campaign, CampaignId, CampaignState, Engine

Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1, description="The campaign's number.")]
Given = NamedDependency[Campaigns]
Actor = NamedDependency[str]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
Stock = Annotated[int, Meta(ge=1, le=STOCK_MAX)]
# Without a zone a time means something else on every machine.
Time = Annotated[datetime, Meta(tz=True)]

CSV_ROWS = 1000  # one hop between thread and event loop per so many rows


class NewCampaign(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body that makes a campaign. A missing time is no bound."""

    name: Name
    stock: Stock
    engine: Engine = Engine.KAFKA
    opens_at: Time | None = None
    closes_at: Time | None = None


class CampaignChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body that edits one. A missing field stays as it is; a null time removes the bound."""

    name: Name | UnsetType = UNSET
    opens_at: Time | UnsetType | None = UNSET
    closes_at: Time | UnsetType | None = UNSET


class Restocking(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How many coupons are added to the stock."""

    coupons: Stock


class CampaignView(msgspec.Struct, frozen=True):
    """A campaign as operators see it."""

    campaign_id: int
    name: str
    engine: Engine
    state: CampaignState
    stock: int
    position_limit: int
    opens_at: datetime | None
    closes_at: datetime | None
    epoch: int
    version: int
    created_at: datetime


class CampaignList(msgspec.Struct, frozen=True):
    """All campaigns, oldest first."""

    campaigns: list[CampaignView]


class CampaignsController(Controller):
    """The routes below /v1/campaigns."""

    path = "/v1/campaigns"

    @post(sync_to_thread=True)
    def create(
        self, campaigns: Given, actor: Actor, data: JSONBody[NewCampaign]
    ) -> Response[CampaignView]:
        """Make a campaign; it opens at its time, or at once."""
        made = campaigns.create(
            name=data.name,
            stock=data.stock,
            opens_at=data.opens_at,
            closes_at=data.closes_at,
            engine=data.engine,
            actor=actor,
        )
        location = f"{self.path}/{made.campaign_id}"
        return Response(view(made), status_code=201, headers={"Location": location})

    @get(sync_to_thread=True)
    def list_all(self, campaigns: Given) -> CampaignList:
        """Return every campaign."""
        return CampaignList([view(campaign) for campaign in campaigns.list()])

    @get("/{campaign_id:int}", sync_to_thread=True)
    def show(self, campaigns: Given, campaign_id: Number) -> CampaignView:
        """Return one campaign."""
        return view(campaigns.show(CampaignId(campaign_id)))

    @patch("/{campaign_id:int}", sync_to_thread=True)
    def edit(
        self, campaigns: Given, actor: Actor, campaign_id: Number, data: JSONBody[CampaignChange]
    ) -> CampaignView:
        """Change the name or the times."""
        changes: dict[str, Any] = {
            field: value
            for field in data.__struct_fields__
            if (value := getattr(data, field)) is not UNSET
        }
        return view(campaigns.edit(CampaignId(campaign_id), actor=actor, **changes))

    @post("/{campaign_id:int}/pause", status_code=200, sync_to_thread=True)
    def pause(self, campaigns: Given, actor: Actor, campaign_id: Number) -> CampaignView:
        """Admit nobody until it is resumed. Who is in stays in."""
        return view(campaigns.pause(CampaignId(campaign_id), actor))

    @post("/{campaign_id:int}/resume", status_code=200, sync_to_thread=True)
    def resume(self, campaigns: Given, actor: Actor, campaign_id: Number) -> CampaignView:
        """Admit again."""
        return view(campaigns.resume(CampaignId(campaign_id), actor))

    @post("/{campaign_id:int}/close", status_code=200, sync_to_thread=True)
    def close(self, campaigns: Given, actor: Actor, campaign_id: Number) -> CampaignView:
        """Admit nobody any more. Who is in stays in."""
        return view(campaigns.close(CampaignId(campaign_id), actor))

    @post("/{campaign_id:int}/archive", status_code=200, sync_to_thread=True)
    def put_away(
        self, archive: NamedDependency[Archive], actor: Actor, campaign_id: Number
    ) -> CampaignView:
        """Put a closed campaign away, for good: its keys leave Redis, its rows stay."""
        return view(archive.put_away(CampaignId(campaign_id), actor))

    @post("/{campaign_id:int}/restock", status_code=200, sync_to_thread=True)
    def restock(
        self, campaigns: Given, actor: Actor, campaign_id: Number, data: JSONBody[Restocking]
    ) -> CampaignView:
        """Add coupons to the stock."""
        return view(campaigns.restock(CampaignId(campaign_id), data.coupons, actor))

    @get("/{campaign_id:int}/winners.csv", sync_to_thread=True, media_type="text/csv")
    def winners(
        self,
        campaigns: Given,
        audit: NamedDependency[AuditTrail],
        actor: Actor,
        campaign_id: Number,
    ) -> Stream:
        """Return who holds a coupon, with its code, in the order of positions.

        Nothing is changed, but codes are worth money: who has taken them is in the audit.
        """
        name = f"campaign-{campaigns.show(CampaignId(campaign_id)).campaign_id}-winners.csv"
        audit.note(actor, "campaign.export", {}, CampaignId(campaign_id))
        return Stream(
            lines_of(campaigns.winners(CampaignId(campaign_id))),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def view(campaign: Campaign) -> CampaignView:
    """Return what operators see of a campaign."""
    return CampaignView(**campaign._asdict())


def lines_of(winners: Iterator[Winner]) -> Iterator[str]:
    """Return CSV text, about a thousand rows at a time, its header first."""
    pieces = chain([Winner._fields], winners)
    while piece := list(islice(pieces, CSV_ROWS)):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(piece)
        yield text.getvalue()
