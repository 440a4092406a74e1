"""Is the machinery well? Engines, processes, scaling, gates, lag, drift, events, a rebuild.

Nothing here asks an engine: the page is there while every one of them is away.
"""

from time import time

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.response import Response

from firstcome.autoscaling.latest import Notice, notice_in
from firstcome.console.live import Live, Look
from firstcome.console.pages.rendering import AnyRequest, Pages
from firstcome.console.rebuilds import Rebuilds
from firstcome.settings import ConsoleSettings

OLD_SECONDS = 5.0  # a look is every second
AT_WORK_SECONDS = 15.0  # an autoscaler looks every two, and may wait for an engine


class HealthPages(Controller):
    """The page /health."""

    include_in_schema = False

    @get("/health", sync_to_thread=True)
    def show(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        live: NamedDependency[Live],
        rebuilds: NamedDependency[Rebuilds],
        settings: NamedDependency[ConsoleSettings],
    ) -> Response[str]:
        """Show what the last look saw, how a rebuild goes, and what the autoscaler decided."""
        look = live.latest
        values: dict[str, object] = {"look": look, "engines": engines_of(look), "age": _age(look)}
        values |= {"rebuild": rebuilds.latest, "notices": notices_of(settings, time())}
        return pages.show(request, "health.html", values)


def engines_of(look: Look | None) -> dict[str, str]:
    """Return of each engine whether it answers: up, away, or unknown."""
    if look is None:
        return dict.fromkeys(("postgres", "redis", "kafka"), "unknown")
    report = look.report
    if report is None:
        # A look ends where PostgreSQL does not answer.
        return {"postgres": "away", "redis": "unknown", "kafka": "unknown"}
    redis = "up" if report.redis_answers else "away"
    kafka = "away" if report.lag_records is None else "up"
    return {"postgres": "up", "redis": redis, "kafka": kafka}


def notices_of(settings: ConsoleSettings, now: float) -> list[tuple[Notice, bool]]:
    """Return what autoscalers have decided last, and whether each is still at work."""
    found = [notice_in(path) for path in settings.decision_files]
    return [(each, now - each.last.at < AT_WORK_SECONDS) for each in found if each]


def _age(look: Look | None) -> float | None:
    """Return the age of a look that is too old to be believed."""
    seconds = time() - look.at if look else 0.0
    return seconds if seconds > OLD_SECONDS else None
