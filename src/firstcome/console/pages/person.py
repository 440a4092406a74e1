"""The support desk's page: why did this person get a coupon, or why not?"""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Response

from firstcome.campaigns import Campaigns
from firstcome.console.pages.rendering import AnyRequest, Pages
from firstcome.console.people import People, is_possible
from firstcome.model import UserId


class PersonPages(Controller):
    """The page /person."""

    include_in_schema = False

    @get("/person", sync_to_thread=True)
    def look_up(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        people: NamedDependency[People],
        campaigns: NamedDependency[Campaigns],
        user: Annotated[str, QueryParameter(max_length=200)] = "",
    ) -> Response[str]:
        """Show the form, and what is known of the user that it names."""
        user = user.strip()
        possible = is_possible(user)
        found = people.look_up(UserId(user), campaigns.list()) if possible else []
        values = {"user": user, "possible": possible, "found": found}
        return pages.show(request, "person.html", values)
