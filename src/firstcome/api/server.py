"""The server of the public port: uvicorn with the express lane in front of the ASGI application.

It answers on sockets that others have bound (several processes share one), moves the lane's
clock, and drains on SIGTERM or SIGINT: no new connections, answers owed are sent, then `serve`
returns.
"""

import contextlib
import math
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn

from firstcome.api.app import application
from firstcome.api.express import ExpressProtocol
from firstcome.api.lane import Lane
from firstcome.api.parts import ApiParts

BACKLOG = 4096


class Server(uvicorn.Server):
    """`await serve()` answers until a signal comes or `should_exit` is set."""

    def __init__(self, config: uvicorn.Config, lane: Lane, sockets: list[socket.socket]) -> None:
        super().__init__(config)
        self._lane = lane
        self._sockets = sockets

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on the sockets given at construction, and close them at the end."""
        await super().serve(sockets=sockets or self._sockets)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: move the lane's clock."""
        connections: Any = self.server_state.connections
        self._lane.tick(connections)
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on a signal; uvicorn would raise it again after that and end the process by it."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def server(parts: ApiParts, sockets: list[socket.socket]) -> Server:
    """Return a server for these sockets, which are bound already."""
    settings = parts.settings.api
    lane = Lane(parts.intake, parts.statuses, parts.authenticator, parts.settings)
    protocol: Any = partial(ExpressProtocol, lane)
    config = uvicorn.Config(
        application(parts),
        http=protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=math.ceil(settings.keep_alive_seconds),
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout_seconds),
    )
    return Server(config, lane, sockets)
