"""One express request and its answer, in the shape of uvicorn's RequestResponseCycle.

Stands in a connection's `cycle` and `pipeline` between ASGI requests and is begun when its turn
comes. Its answer arrives through a callback, inside a loop over the answers of many
clients: so nothing here raises, whatever state the client is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from firstcome.api.issuances import reply_to_claim, reply_to_status
from firstcome.api.problems import REPLIES
from firstcome.api.replies import Reply
from firstcome.api.requests import Route
from firstcome.api.tally import answered, begun, refused, told
from firstcome.model import Answer, Standing, UserId

if TYPE_CHECKING:
    from firstcome.api.express import ExpressProtocol

log = structlog.get_logger(__name__)


class _NobodyWaits:
    """Stands where an ASGI cycle has its asyncio.Event."""

    def set(self) -> None:
        """Do nothing."""


class Cycle:
    """What uvicorn and the connection look at, and the way out."""

    __slots__ = ("_connection", "_origin", "disconnected", "keep_alive", "response_complete")
    message_event = _NobodyWaits()

    def __init__(self, connection: ExpressProtocol, keep_alive: bool, origin: bytes | None) -> None:
        self._connection = connection
        self._origin = origin
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    def start(self) -> None:
        """Begin: the turn has come."""
        raise NotImplementedError

    def send(self, reply: Reply, lingers: bool = False) -> None:
        """Write the answer, once, and let the connection go on. Never raises."""
        if self.response_complete:
            return
        self.response_complete = True
        connection = self._connection
        transport = connection.transport
        if self.disconnected or transport.is_closing():
            return
        try:
            lane = connection.lane
            opening = lane.openings[reply.status]
            if lane.origins is not None:
                opening += lane.origins.lines_for(self._origin)
            if self.keep_alive:
                transport.write(opening + reply.wire)
            else:
                transport.write(opening + b"connection: close\r\n" + reply.wire)
                connection.end(lingers)
            connection.on_response_complete()
        except Exception:
            # This client's trouble ends here; others wait for their answers in the same loop.
            log.exception("reply_failed")
            transport.abort()


class ExpressCycle(Cycle):
    """A claim, or a question for a status."""

    __slots__ = ("_attempt", "_begun", "_route", "_user_id")

    def __init__(
        self,
        connection: ExpressProtocol,
        route: Route,
        asker: tuple[UserId, int],
        keep_alive: bool,
        origin: bytes | None,
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._route = route
        self._user_id, self._attempt = asker
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    def start(self) -> None:
        """Ask for the answer; it may come before this returns."""
        method, campaign_id, wait_seconds = self._route
        lane = self._connection.lane
        try:
            if method == b"POST":
                self._begun = begun()
                lane.intake.claim(campaign_id, self._user_id, self._attempt, self._answer)
            else:
                lane.statuses.read(campaign_id, self._user_id, wait_seconds, self._tell)
        except Exception:
            log.exception("request_failed")
            self.send(REPLIES["INTERNAL_ERROR"])

    def _answer(self, answer: Answer) -> None:
        answered(answer.outcome, self._begun)
        self.send(reply_to_claim(self._route.campaign_id, answer))

    def _tell(self, standing: Standing) -> None:
        told()
        self.send(reply_to_status(self._route.campaign_id, standing))


class Refusal(Cycle):
    """An answer that is known already and waits for its turn."""

    __slots__ = ("_lingers", "_reply")

    def __init__(
        self,
        connection: ExpressProtocol,
        reply: Reply,
        keep_alive: bool,
        origin: bytes | None,
        lingers: bool = False,
    ) -> None:
        """`lingers`: the client may still be sending, so let it read the answer before it ends."""
        super().__init__(connection, keep_alive, origin)
        self._reply = reply
        self._lingers = lingers

    def start(self) -> None:
        """Send it."""
        refused(self._reply.status)
        self.send(self._reply, self._lingers)
