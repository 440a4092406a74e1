"""Campaigns for operators: make one, schedule, pause, resume, close, restock, archive.

Every change is shown first and done when it is confirmed. A confirmation counts once, so that a
second click, or the browser's way back, makes no second campaign and no second restock.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, NamedTuple

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import PathParameter, QueryParameter
from litestar.response import Redirect, Response

from firstcome.campaigns import Campaigns
from firstcome.campaigns.commands import NAME_MAX, is_possible_time
from firstcome.console.archive import Archive
from firstcome.console.auth import form_of, is_first_time
from firstcome.console.form import Form
from firstcome.console.pages.rendering import AnyRequest, Pages, go, words_for
from firstcome.errors import CampaignNotFound, Refused
from firstcome.model import STOCK_MAX, Campaign, CampaignId, CampaignState, Engine

Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]
Action = Annotated[str, PathParameter()]
Before = Annotated[int, QueryParameter(ge=1, le=2**63 - 1)]
ROWS = 100  # of one page
GivenCampaigns = NamedDependency[Campaigns]
GivenPages = NamedDependency[Pages]
Actor = NamedDependency[str]

# Offsets from UTC that the forms offer, by the name that is shown; the first of a language's own.
ZONES = {"+09:00": "KST (UTC+9)", "+00:00": "UTC"}
ACTIONS: dict[str, frozenset[CampaignState]] = {
    "pause": frozenset({CampaignState.OPEN}),
    "resume": frozenset({CampaignState.PAUSED}),
    "restock": frozenset({CampaignState.OPEN, CampaignState.PAUSED}),
    "schedule": frozenset({CampaignState.OPEN, CampaignState.PAUSED}),
    "close": frozenset({CampaignState.OPEN, CampaignState.PAUSED}),
    "archive": frozenset({CampaignState.CLOSED}),
}
WITH_FORM = ("restock", "schedule")


class Wrong(NamedTuple):
    """A field that cannot be taken, and the message that says why."""

    field: str
    message: str


class CampaignsPages(Controller):
    """The pages below /campaigns."""

    path = "/campaigns"
    include_in_schema = False

    @get(sync_to_thread=True)
    def show_all(
        self,
        request: AnyRequest,
        pages: GivenPages,
        campaigns: GivenCampaigns,
        before: Before = 2**63 - 1,
    ) -> Response[str]:
        """List campaigns, newest first."""
        found, more = page_of(campaigns.list(), before)
        values = {"campaigns": found, "more": more, "actions": actions_of}
        return pages.show(request, "campaigns.html", values)

    @get("/new", sync_to_thread=False)
    def ask_new(self, request: AnyRequest, pages: GivenPages) -> Response[str]:
        """Show the empty form."""
        return _form(request, pages, "campaign_new.html", Form(), [])

    @post("/new", status_code=200, sync_to_thread=True)
    def create(
        self, request: AnyRequest, pages: GivenPages, campaigns: GivenCampaigns, actor: Actor
    ) -> Response[str] | Redirect:
        """Check the form and show what it would make; make it once that is confirmed."""
        form = form_of(request)
        wanted, wrong = new_campaign(form)
        if wrong:
            return _form(request, pages, "campaign_new.html", form, wrong)
        if form.text("step") != "do":
            values = {"form": form, "wanted": wanted}
            return pages.show(request, "campaign_new_confirm.html", values)
        if not is_first_time(request):
            return go("/campaigns")
        made = campaigns.create(**wanted, actor=actor)
        return go(f"/drops/{made.campaign_id}?done=create")

    @get("/{campaign_id:int}/{action:str}", sync_to_thread=True)
    def ask(
        self,
        request: AnyRequest,
        pages: GivenPages,
        campaigns: GivenCampaigns,
        campaign_id: Number,
        action: Action,
    ) -> Response[str]:
        """Say what an action means, and ask."""
        campaign = _known(campaigns, campaign_id, action)
        return _ask(request, pages, campaign, action, Form(), [])

    @post("/{campaign_id:int}/{action:str}", status_code=200, sync_to_thread=True)
    def act(
        self,
        request: AnyRequest,
        pages: GivenPages,
        campaigns: GivenCampaigns,
        archive: NamedDependency[Archive],
        actor: Actor,
        campaign_id: Number,
        action: Action,
    ) -> Response[str] | Redirect:
        """Do it, if it is confirmed."""
        campaign, form = _known(campaigns, campaign_id, action), form_of(request)
        values, wrong = READERS[action](form)
        if not wrong and form.text("step") != "do":
            texts = {"campaign": campaign, "action": action, "form": form, "wanted": values}
            return pages.show(request, "campaign_confirm.html", texts)
        if not wrong:
            if not is_first_time(request):
                return go(f"/drops/{campaign_id}")
            try:
                if action == "archive":
                    archive.put_away(campaign.campaign_id, actor)
                else:
                    _do(campaigns, campaign.campaign_id, action, values, actor)
                return go(f"/drops/{campaign_id}?done={action}")
            except CampaignNotFound:
                raise
            except Refused as error:
                wrong = [Wrong("", str(error))]
        return _ask(request, pages, campaign, action, form, wrong)


def page_of(campaigns: list[Campaign], before: int) -> tuple[list[Campaign], int | None]:
    """Return the newest campaigns below a number, and which number asks for the next page."""
    found = [each for each in reversed(campaigns) if each.campaign_id < before]
    return found[:ROWS], found[ROWS - 1].campaign_id if len(found) > ROWS else None


def actions_of(state: CampaignState) -> list[str]:
    """Return what can be done with a campaign in this state."""
    return [action for action, states in ACTIONS.items() if state in states]


def new_campaign(form: Form) -> tuple[dict[str, Any], list[Wrong]]:
    """Return what a form asks for, and what is wrong with it; names of messages as reasons."""
    stock, engine = form.number("stock"), form.text("engine") or Engine.KAFKA
    values, wrong = schedule(form)
    if stock is None or not 1 <= stock <= STOCK_MAX:
        wrong.append(Wrong("stock", "wrong.stock"))
    if engine not in list(Engine):
        wrong.append(Wrong("engine", "wrong.engine"))
    return values | {"stock": stock, "engine": engine}, wrong


def schedule(form: Form) -> tuple[dict[str, Any], list[Wrong]]:
    """Return name and times that a form asks for."""
    name, wrong = form.text("name"), []
    if not 1 <= len(name) <= NAME_MAX or "\0" in name:
        wrong.append(Wrong("name", "wrong.name"))
    times: dict[str, datetime | None] = {}
    for field in ("opens_at", "closes_at"):
        try:
            times[field] = time_of(form.text(field), form.text("zone"))
        except ValueError:
            times[field] = None
            wrong.append(Wrong(field, "wrong.time"))
    opens, closes = times["opens_at"], times["closes_at"]
    if opens and closes and opens >= closes:
        wrong.append(Wrong("closes_at", "wrong.order"))
    return {"name": name, **times}, wrong


def time_of(text: str, zone: str) -> datetime | None:
    """Return the moment that a form's field names, None for an empty one. Raises ValueError."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if zone not in ZONES or at.tzinfo is not None:
        raise ValueError(zone)
    at = at.replace(tzinfo=zone_of(zone))
    if not is_possible_time(at):
        raise ValueError(text)
    return at


def zone_of(offset: str) -> timezone:
    """Return a key of ZONES as a time zone."""
    return timezone(timedelta(hours=int(offset[:3])))


def field_of(at: datetime | None, zone: str) -> str:
    """Return a moment as a form's field shows it."""
    if at is None:
        return ""
    return at.astimezone(zone_of(zone)).strftime("%Y-%m-%dT%H:%M:%S")


def _restock(form: Form) -> tuple[dict[str, Any], list[Wrong]]:
    coupons = form.number("coupons")
    wrong = [] if coupons and coupons <= STOCK_MAX else [Wrong("coupons", "wrong.stock")]
    return {"coupons": coupons}, wrong


def _nothing(form: Form) -> tuple[dict[str, Any], list[Wrong]]:
    return {}, []


READERS: dict[str, Callable[[Form], tuple[dict[str, Any], list[Wrong]]]] = {
    "pause": _nothing,
    "resume": _nothing,
    "close": _nothing,
    "archive": _nothing,
    "restock": _restock,
    "schedule": schedule,
}


def _do(
    campaigns: Campaigns, campaign_id: CampaignId, action: str, values: dict[str, Any], actor: str
) -> None:
    match action:
        case "pause":
            campaigns.pause(campaign_id, actor)
        case "resume":
            campaigns.resume(campaign_id, actor)
        case "close":
            campaigns.close(campaign_id, actor)
        case "restock":
            campaigns.restock(campaign_id, values["coupons"], actor)
        case _:
            campaigns.edit(campaign_id, actor=actor, **values)


def _known(campaigns: Campaigns, campaign_id: int, action: str) -> Campaign:
    if action not in ACTIONS:
        raise NotFoundException(f"there is no action {action}")
    return campaigns.show(CampaignId(campaign_id))


def _ask(
    request: AnyRequest,
    pages: Pages,
    campaign: Campaign,
    action: str,
    form: Form,
    wrong: list[Wrong],
) -> Response[str]:
    possible = campaign.state in ACTIONS[action]
    texts = {"campaign": campaign, "action": action, "possible": possible}
    texts |= {"has_form": action in WITH_FORM}
    return _form(request, pages, "campaign_ask.html", form, wrong, **texts)


def _form(
    request: AnyRequest,
    pages: Pages,
    template: str,
    form: Form,
    wrong: list[Wrong],
    **texts: object,
) -> Response[str]:
    words = words_for(request.scope)
    faults = {each.field: words.get(each.message) or each.message for each in wrong}
    zone = form.text("zone") or ("+09:00" if words.language == "ko" else "+00:00")
    values = {"form": form, "wrong": faults, "zones": ZONES, "zone": zone, "engines": list(Engine)}
    values |= {
        "engine": form.text("engine") or Engine.KAFKA,
        "field_of": field_of,
        "now": datetime.now(UTC),
    }
    return pages.show(request, template, values | texts, 422 if wrong else 200)
