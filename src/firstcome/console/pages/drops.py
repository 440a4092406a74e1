"""What happens now: all campaigns, one campaign, and the stream that keeps both alive.

The pages show the sampler's last look, so a page costs the engines nothing but its list of deeds.
"""

import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.response import Redirect, Response, Stream

from firstcome.campaigns import Campaigns
from firstcome.console.audit import AuditTrail
from firstcome.console.live import Live, Look
from firstcome.console.overview import CampaignOverview
from firstcome.console.pages.campaigns import actions_of
from firstcome.console.pages.rendering import AnyRequest, Pages, caller_of, go
from firstcome.console.people import People
from firstcome.console.sessions import Sessions
from firstcome.model import CampaignId, CampaignState
from firstcome.settings import ConsoleSettings

CARDS_MAX = 60  # more are a list
Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]
Done = Annotated[str, QueryParameter(max_length=20)]


class DropsPages(Controller):
    """Start page, drops, one drop, live stream."""

    include_in_schema = False

    @get("/", sync_to_thread=False)
    def start(self) -> Redirect:
        """Lead to what matters first."""
        return go("/drops")

    @get("/drops", sync_to_thread=False)
    def show_all(
        self, request: AnyRequest, pages: NamedDependency[Pages], live: NamedDependency[Live]
    ) -> Response[str]:
        """Show every campaign that is not archived, newest first."""
        look = live.latest
        drops = _drops(look)
        values = {"look": look, "drops": drops[:CARDS_MAX], "more": drops[CARDS_MAX:]}
        return pages.show(request, "drops.html", values)

    @get("/drops/{campaign_id:int}", sync_to_thread=True)
    def show(  # noqa: PLR0913 - one argument per source
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        live: NamedDependency[Live],
        campaigns: NamedDependency[Campaigns],
        audit: NamedDependency[AuditTrail],
        people: NamedDependency[People],
        settings: NamedDependency[ConsoleSettings],
        campaign_id: Number,
        done: Done = "",
    ) -> Response[str]:
        """Show one campaign with its chart."""
        campaign = campaigns.show(CampaignId(campaign_id))
        look = live.latest
        drop = next((each for each in _drops(look) if each.campaign_id == campaign_id), None)
        values = {
            "look": look,
            "drop": drop,
            "campaign": campaign,
            "done": done,
            "actions": actions_of(campaign.state),
            "deeds": audit.of(CampaignId(campaign_id)),
            "holders": people.newest(CampaignId(campaign_id)),
            "is_local": settings.status_file is not None,
            "program": shlex.quote(str(Path(sys.executable).with_name("firstcome"))),
        }
        return pages.show(request, "drop.html", values)

    @get("/drops/{campaign_id:int}/points", sync_to_thread=False)
    def points(self, live: NamedDependency[Live], campaign_id: Number) -> Response[bytes]:
        """Return the last quarter of an hour of one campaign, for its chart."""
        body = msgspec.json.encode(live.points(campaign_id))
        return Response(body, media_type="application/json")

    @get("/live")
    async def stream(
        self,
        request: AnyRequest,
        live: NamedDependency[Live],
        sessions: NamedDependency[Sessions],
    ) -> Stream:
        """Send every look until the watcher goes, or may look no longer."""
        caller = caller_of(request.scope)
        session = caller.session if caller else None

        def lasts() -> bool:
            return session is None or sessions.lasts(session)

        events: AsyncIterator[bytes] = live.admit(request.headers.get("Last-Event-ID", ""), lasts)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Stream(events, media_type="text/event-stream", headers=headers)


def _drops(look: Look | None) -> list[CampaignOverview]:
    """Return those that may still give coupons first, then the newest."""
    found = reversed(look.report.campaigns) if look and look.report else []
    return sorted(found, key=lambda each: each.state is CampaignState.CLOSED)
