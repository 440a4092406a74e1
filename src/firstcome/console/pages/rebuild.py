"""Making gates anew by hand: what it means, and one confirmation. How it goes stands on Health."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import QueryParameter
from litestar.response import Redirect, Response

from firstcome.console.auth import form_of, is_first_time
from firstcome.console.form import Form
from firstcome.console.pages.rendering import AnyRequest, Pages, go
from firstcome.console.rebuilds import Progress, Rebuilds
from firstcome.errors import CampaignNotFound, Refused
from firstcome.model import CampaignId

ALL = "all"
Chosen = Annotated[int | None, QueryParameter(name="campaign", ge=1, le=2**63 - 1)]


class RebuildPages(Controller):
    """The page /health/rebuild; without a campaign it is about all gates."""

    path = "/health/rebuild"
    include_in_schema = False

    @get(sync_to_thread=True)
    def ask(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        rebuilds: NamedDependency[Rebuilds],
        chosen: Chosen = None,
    ) -> Response[str]:
        """Say what it means, and ask."""
        return _ask(request, pages, rebuilds, _numbered(chosen))

    @post(status_code=200, sync_to_thread=True)
    def begin(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        rebuilds: NamedDependency[Rebuilds],
        actor: NamedDependency[str],
    ) -> Response[str] | Redirect:
        """Begin it, if it is confirmed."""
        chosen = _chosen(form_of(request))
        if not is_first_time(request):
            return go("/health")
        try:
            rebuilds.begin(chosen, actor)
        except CampaignNotFound:
            raise
        except Refused as error:
            return _ask(request, pages, rebuilds, chosen, str(error))
        return go("/health#rebuild")


def _ask(
    request: AnyRequest,
    pages: Pages,
    rebuilds: Rebuilds,
    chosen: CampaignId | None,
    wrong: str = "",
) -> Response[str]:
    latest = rebuilds.latest
    values = {
        "campaigns": rebuilds.gated(chosen),
        "chosen": chosen,
        "running": latest is not None and latest.progress is Progress.RUNNING,
        "wrong": wrong,
    }
    return pages.show(request, "rebuild.html", values, 409 if wrong else 200)


def _chosen(form: Form) -> CampaignId | None:
    """Return whose gate a form means, None for all. Raises ClientException (400).

    All are asked for by name: a number that got lost must not shut every gate.
    """
    number = form.number("campaign")
    if not number and form.text("campaign") != ALL:
        raise ClientException("campaign: a number, or all")
    return _numbered(number)


def _numbered(number: int | None) -> CampaignId | None:
    return CampaignId(number) if number else None
