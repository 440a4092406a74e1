"""The console's HTTP server: a plain uvicorn, far from the crowd.

No express lane here, and no promise of speed: some requests a second are a lot.
"""

import uvicorn

from firstcome.console.app import ConsoleParts, create_app

CONNECTIONS_MAX = 200  # operators and their programs; a flood of others cannot fill the memory
KEEP_ALIVE_SECONDS = 30
DRAIN_SECONDS = 10  # on SIGTERM a command under way is waited for so long


def server(parts: ConsoleParts) -> uvicorn.Server:
    """Return the server, not started yet; `serve()` runs it until it is told to exit."""
    config = uvicorn.Config(
        create_app(parts),
        host=parts.settings.host,
        port=parts.settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        # Our own logs; a proxy's headers prove nothing here.
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    return uvicorn.Server(config)
