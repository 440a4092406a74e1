"""Is the machinery well? Engines, processes, gates, lag, drift, events: each with what it means."""

from time import time

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.response import Response

from firstcome.console.audit import AuditTrail, Deed
from firstcome.console.live import Live, Look
from firstcome.console.overview import GateState
from firstcome.console.pages.rendering import AnyRequest, Pages
from firstcome.errors import DatabaseUnavailable

OLD_SECONDS = 5.0  # a look is every second


class HealthPages(Controller):
    """The page /health."""

    include_in_schema = False

    @get("/health", sync_to_thread=True)
    def show(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        live: NamedDependency[Live],
        audit: NamedDependency[AuditTrail],
    ) -> Response[str]:
        """Show what the last look saw, and how recorders came and went."""
        look = live.latest
        values = {
            "look": look,
            "engines": engines_of(look),
            "age": _age(look),
            "scalings": _scalings(audit) if look and look.report else None,
        }
        return pages.show(request, "health.html", values)


def engines_of(look: Look | None) -> dict[str, str]:
    """Return of each engine whether it answers: up, away, or unknown."""
    if look is None:
        return dict.fromkeys(("postgres", "redis", "kafka"), "unknown")
    report = look.report
    if report is None:
        # Without campaigns nobody knows which gates to ask.
        return {"postgres": "away", "redis": "unknown", "kafka": "unknown"}
    states = {each.gate.state for each in report.campaigns} - {GateState.NONE}
    redis = "unknown"
    if states:
        redis = "away" if GateState.UNREACHABLE in states else "up"
    kafka = "away" if report.lag_records is None else "up"
    return {"postgres": "up", "redis": redis, "kafka": kafka}


def _scalings(audit: AuditTrail) -> list[Deed] | None:
    """Return the autoscaler's last changes; None: the page must not fail for them."""
    try:
        return audit.of_recorders()
    except DatabaseUnavailable:
        return None


def _age(look: Look | None) -> float | None:
    """Return the age of a look that is too old to be believed."""
    seconds = time() - look.at if look else 0.0
    return seconds if seconds > OLD_SECONDS else None
