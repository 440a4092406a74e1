"""What the connections of one process share in the express lane: parts, routes, clock.

Everything that would be the same for each request is worked out here once or once a
tick: the first lines of every answer (the Date changes once a second), the deadlines that begin
now, what an address means. One sweep over all connections takes the place of a timer each.
"""

import time
from collections.abc import Iterable
from email.utils import formatdate
from typing import Protocol

from firstcome.api.auth import Authenticator
from firstcome.api.cors import Origins
from firstcome.api.parts import Claiming, Telling
from firstcome.api.problems import PROBLEMS
from firstcome.api.replies import status_line
from firstcome.api.requests import Route, route_of
from firstcome.settings import Settings

_ROUTES_MAX = 4096
# A refused client gets so long to read why, before the connection is torn down.
_LINGER_SECONDS = 2.0
_SWEEP_SECONDS_MAX = 1.0
_STATUSES = {200, 201, 202} | {problem.status for problem in PROBLEMS.values()}


class Connection(Protocol):
    """What the sweep needs of a connection."""

    due: float

    def overdue(self, now: float) -> None:
        """The deadline has passed."""


class Lane:
    """Shared by all express connections of one process."""

    def __init__(
        self,
        intake: Claiming,
        statuses: Telling,
        authenticator: Authenticator,
        settings: Settings,
    ) -> None:
        self.intake = intake
        self.statuses = statuses
        self.authenticator = authenticator
        self.origins = Origins(settings.api.cors_origins) if settings.api.cors_origins else None
        self.header_bytes_max = settings.api.header_bytes_max
        self.body_bytes_max = settings.api.body_bytes_max
        self.connections_max = settings.api.connections_max
        self._wait_seconds_max = settings.intake.status_wait_seconds_max
        self._receive_seconds = settings.api.receive_timeout_seconds
        self._idle_seconds = settings.api.keep_alive_seconds
        self._sweep_seconds = min(
            _SWEEP_SECONDS_MAX, self._receive_seconds / 8, self._idle_seconds / 8
        )
        self._routes: dict[bytes, Route] = {}
        self._sweep_at = 0.0
        self._second = 0
        self.openings: dict[int, bytes] = {}
        self.tick(())

    def tick(self, connections: Iterable[Connection]) -> None:
        """Move the clock, and sweep the connections if it is time. Call it often."""
        now = time.monotonic()
        # Deadlines, by time.monotonic(), of what begins between this tick and the next.
        self.receive_due = now + self._receive_seconds
        self.idle_due = now + self._idle_seconds
        self.linger_due = now + _LINGER_SECONDS
        self._write_openings()
        if now >= self._sweep_at:
            self._sweep_at = now + self._sweep_seconds
            for connection in tuple(connections):
                if now >= connection.due:
                    connection.overdue(now)

    def route(self, url: bytes) -> Route | None:
        """Return what an address means; None for everything that ASGI answers."""
        route = self._routes.get(url)
        if route is None:
            route = route_of(url, self._wait_seconds_max)
            if route is not None:
                if len(self._routes) >= _ROUTES_MAX:
                    self._routes.clear()
                self._routes[url] = route
        return route

    def _write_openings(self) -> None:
        second = int(time.time())
        if second != self._second:
            self._second = second
            date = b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
            self.openings = {status: status_line(status) + date for status in _STATUSES}
