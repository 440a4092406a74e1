"""The support desk's page: why did this person get a coupon, or why not?"""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Redirect, Response

from firstcome.campaigns import Campaigns
from firstcome.console.audit import AuditTrail
from firstcome.console.auth import form_of
from firstcome.console.pages.rendering import AnyRequest, Pages, go
from firstcome.console.people import Finding, InCampaign, People, is_possible
from firstcome.model import Position, UserId

GivenPages = NamedDependency[Pages]
GivenPeople = NamedDependency[People]
GivenCampaigns = NamedDependency[Campaigns]


class PersonPages(Controller):
    """The page /person."""

    path = "/person"
    include_in_schema = False

    @get(sync_to_thread=True)
    def look_up(
        self,
        request: AnyRequest,
        pages: GivenPages,
        people: GivenPeople,
        campaigns: GivenCampaigns,
        user: Annotated[str, QueryParameter(max_length=200)] = "",
    ) -> Response[str]:
        """Show the form, and what is known of the user that it names."""
        user = user.strip()
        found = _found(people, campaigns, user)
        return pages.show(request, "person.html", _values(user, found, {}))

    @get("/code", sync_to_thread=False)
    def forget_code(self) -> Redirect:
        """Lead whoever changes the language, or goes back, to the form."""
        return go("/person")

    @post("/code", status_code=200, sync_to_thread=True)
    def show_code(
        self,
        request: AnyRequest,
        pages: GivenPages,
        people: GivenPeople,
        campaigns: GivenCampaigns,
        audit: NamedDependency[AuditTrail],
        actor: NamedDependency[str],
    ) -> Response[str]:
        """Show the code of one coupon as well. It is worth money: who saw it is in the audit."""
        form = form_of(request)
        user, number = form.text("user"), form.number("campaign")
        found = _found(people, campaigns, user)
        codes: dict[int, str] = {}
        for each in found:
            if each.campaign.campaign_id == number and each.row and each.finding is Finding.ISSUED:
                position = Position(each.row.position)
                detail = {"user_id": user, "position": position}
                audit.note(actor, "coupon.code", detail, each.campaign.campaign_id)
                codes[number] = campaigns.code(each.campaign.campaign_id, position)
        return pages.show(request, "person.html", _values(user, found, codes))


def _found(people: People, campaigns: Campaigns, user: str) -> list[InCampaign]:
    return people.look_up(UserId(user), campaigns.list()) if is_possible(user) else []


def _values(user: str, found: list[InCampaign], codes: dict[int, str]) -> dict[str, object]:
    return {"user": user, "possible": is_possible(user), "found": found, "codes": codes}
