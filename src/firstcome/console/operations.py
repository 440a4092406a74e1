"""Health of the console, for whoever runs it. The only routes without a key.

/healthz says that the process answers, /readyz that its commands would work: PostgreSQL
is there. Redis does not count: operators must be able to work while it is away.
"""

from litestar import get
from litestar.di import NamedDependency

from firstcome.console.overview import Overview, OverviewReport


@get("/healthz", security=[{}], sync_to_thread=False)
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@get("/readyz", security=[{}], sync_to_thread=True)
def readyz(overview: NamedDependency[Overview]) -> dict[str, str]:
    """Say that PostgreSQL answers; 503 if it does not."""
    overview.check_database()
    return {"status": "ready"}


@get("/v1/overview", sync_to_thread=True)
def show_overview(overview: NamedDependency[Overview]) -> OverviewReport:
    """Return every campaign with its gate and its rows."""
    return overview.read()
