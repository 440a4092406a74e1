"""The operators' application: pages and API, what they are given, and the guard in front of all.

The guard stands outside of the routing, so no route can be forgotten, and an address
that does not exist is as closed as any other.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from litestar import Litestar, Request, Response
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp

from firstcome.campaigns import Campaigns
from firstcome.console.archive import Archive
from firstcome.console.audit import AuditTrail
from firstcome.console.auth import OperatorGuard, actor_of, forget_confirmation
from firstcome.console.campaigns import CampaignsController
from firstcome.console.dead_letters import DeadLettersController
from firstcome.console.form import BODY_BYTES_MAX
from firstcome.console.live import Live
from firstcome.console.operations import healthz, readyz, show_overview
from firstcome.console.operators import Operators
from firstcome.console.overview import Overview
from firstcome.console.pages.campaigns import CampaignsPages
from firstcome.console.pages.drops import DropsPages
from firstcome.console.pages.health import HealthPages
from firstcome.console.pages.letters import LettersPages
from firstcome.console.pages.person import PersonPages
from firstcome.console.pages.rebuild import RebuildPages
from firstcome.console.pages.rendering import Pages
from firstcome.console.pages.reports import ReportsPages
from firstcome.console.pages.sign_in import SignInPages
from firstcome.console.patience import Patience
from firstcome.console.people import People
from firstcome.console.problems import PROBLEMS, code_of, headers_of, response
from firstcome.console.rebuilds import Rebuilds
from firstcome.console.refusal import wants_page
from firstcome.console.sessions import FailedSignIns, Sessions
from firstcome.issuance.dead_letters import DeadLetters
from firstcome.settings import ConsoleSettings

THREADS = 32  # by default six on two cores: one page each that hangs
STATIC_SECONDS = 300  # a new version of the console is seen whole within so long
STATIC = Path(__file__).parent / "static"
PAGES = (
    *(DropsPages, CampaignsPages, LettersPages, HealthPages, RebuildPages),
    *(PersonPages, ReportsPages, SignInPages),
)


@dataclass(frozen=True)
class ConsoleParts:
    """What the console works with; made in console/process.py."""

    settings: ConsoleSettings
    campaigns: Campaigns
    overview: Overview
    dead_letters: DeadLetters
    people: People
    audit: AuditTrail
    archive: Archive
    rebuilds: Rebuilds
    live: Live
    failed: FailedSignIns = field(default_factory=FailedSignIns)


def create_app(parts: ConsoleParts) -> ASGIApp:
    """Return the console as an ASGI application, its guard in front."""
    settings, pages = parts.settings, Pages()
    operators = Operators(settings)
    sessions = Sessions(settings.session_seconds, behind_tls=settings.behind_tls)
    given: dict[str, object] = {
        "campaigns": parts.campaigns,
        "overview": parts.overview,
        "dead_letters": parts.dead_letters,
        "people": parts.people,
        "audit": parts.audit,
        "archive": parts.archive,
        "rebuilds": parts.rebuilds,
        "live": parts.live,
        "settings": settings,
        "pages": pages,
        "operators": operators,
        "sessions": sessions,
        "failed": parts.failed,
    }

    def answer_to(request: Request, error: Exception) -> Response[bytes]:  # type: ignore[type-arg]
        """Tell an error as a page to people, as JSON to programs."""
        code, detail = code_of(request, error)
        if code == "TEMPORARILY_UNAVAILABLE":
            forget_confirmation(request)  # nothing was done, so the same click may do it
        if not wants_page(request.scope):
            return response(code, detail)
        media_type, body = pages.problem(request.scope, code, detail)
        return Response(
            body,
            status_code=PROBLEMS[code][0],
            media_type=media_type,
            headers=headers_of(code),
        )

    routes = Litestar(
        route_handlers=[
            *(CampaignsController, DeadLettersController, healthz, readyz, show_overview),
            *PAGES,
            create_static_files_router(
                path="/static",
                directories=[STATIC],
                cache_control=CacheControlHeader(max_age=STATIC_SECONDS, private=True),
            ),
        ],
        dependencies={
            **{name: Provide(_given(part), sync_to_thread=False) for name, part in given.items()},
            "actor": Provide(actor_of, sync_to_thread=False),
        },
        exception_handlers={Exception: answer_to},
        on_startup=[_have_threads],
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=_openapi(),
        # Litestar would replace the log lines of the whole process by its own.
        logging_config=None,
    )
    patient = Patience(routes, pages.problem)
    return OperatorGuard(patient, operators, sessions, pages.problem)


def _have_threads() -> None:
    """Let those who wait for an engine not keep everybody else waiting."""
    executor = ThreadPoolExecutor(THREADS, "console")
    asyncio.get_running_loop().set_default_executor(executor)


def _given(part: object) -> Callable[[], object]:
    return lambda: part


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="firstcome: operators",
        version="1",
        path="/openapi.json",
        render_plugins=[JsonRenderPlugin(path="/")],
        components=Components(
            security_schemes={"operator": SecurityScheme(type="http", scheme="bearer")}
        ),
        security=[{"operator": []}],
    )
