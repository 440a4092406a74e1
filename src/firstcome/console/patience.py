"""No page hangs: an answer that has not begun in time is given up and told as what it is.

Stands between guard and routes. The work goes on in its thread until the engine answers or its own
timeouts end it; a change may therefore still be done, and the answer says so.
"""

import asyncio

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from firstcome.console.refusal import Page, send_problem

LOOK_SECONDS = 8.0  # more than it takes to notice that a database does not answer
CHANGE_SECONDS = 30.0  # 500 letters are decided in less
GAVE_UP = "An engine gave no answer within {seconds:g} s."


class Patience:
    """An ASGI application before the one that does the work."""

    def __init__(
        self,
        app: ASGIApp,
        page: Page,
        *,
        look_seconds: float = LOOK_SECONDS,
        change_seconds: float = CHANGE_SECONDS,
    ) -> None:
        """`page`: what a browser is shown instead of a problem's JSON."""
        self._app = app
        self._page = page
        self._look_seconds = look_seconds
        self._change_seconds = change_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; once its answer has begun it may take as long as it likes."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        begun, given_up = asyncio.Event(), False

        async def sending(message: Message) -> None:
            if not given_up:
                begun.set()
                await send(message)

        work = asyncio.ensure_future(self._app(scope, receive, sending))
        beginning = asyncio.ensure_future(begun.wait())
        try:
            seconds = self._look_seconds if _is_look(scope) else self._change_seconds
            await asyncio.wait({work, beginning}, timeout=seconds, return_when="FIRST_COMPLETED")
            if work.done() or begun.is_set():
                await work
                return
            given_up = True
            await self._give_up(scope, send, seconds)
        finally:
            work.cancel()
            beginning.cancel()

    async def _give_up(self, scope: HTTPScope, send: Send, seconds: float) -> None:
        code = "TEMPORARILY_UNAVAILABLE" if _is_look(scope) else "OUTCOME_UNKNOWN"
        await send_problem(scope, send, self._page, code, GAVE_UP.format(seconds=seconds))


def _is_look(scope: HTTPScope) -> bool:
    return scope["method"] in ("GET", "HEAD", "OPTIONS")
