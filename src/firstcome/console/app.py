"""The operators' application: routes, what they are given, and the guard in front of all.

The guard stands outside of the routing, so no route can be forgotten, and an address
that does not exist is as closed as any other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from firstcome.campaigns import Campaigns
from firstcome.console.auth import OperatorGuard, actor_of
from firstcome.console.campaigns import CampaignsController
from firstcome.console.dead_letters import DeadLettersController
from firstcome.console.operations import healthz, readyz, show_overview
from firstcome.console.overview import Overview
from firstcome.console.problems import answer_to
from firstcome.issuance.dead_letters import DeadLetters
from firstcome.settings import ConsoleSettings

BODY_BYTES_MAX = 16_384  # the largest command is a name and two times


@dataclass(frozen=True)
class ConsoleParts:
    """What the console works with; made in processes.py."""

    settings: ConsoleSettings
    campaigns: Campaigns
    overview: Overview
    dead_letters: DeadLetters


def create_app(parts: ConsoleParts) -> ASGIApp:
    """Return the console as an ASGI application, its guard in front."""
    routes = Litestar(
        route_handlers=[CampaignsController, DeadLettersController, healthz, readyz, show_overview],
        dependencies={
            "campaigns": Provide(_given(parts.campaigns), sync_to_thread=False),
            "overview": Provide(_given(parts.overview), sync_to_thread=False),
            "dead_letters": Provide(_given(parts.dead_letters), sync_to_thread=False),
            "actor": Provide(actor_of, sync_to_thread=False),
        },
        exception_handlers={Exception: answer_to},
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=_openapi(),
        # Litestar would replace the log lines of the whole process by its own.
        logging_config=None,
    )
    return OperatorGuard(routes, parts.settings.operator_key)


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
