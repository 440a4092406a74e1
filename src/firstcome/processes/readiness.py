"""How the asyncio processes say that they can work."""

import asyncio
from collections.abc import Awaitable, Callable

from firstcome.logs import get_logger

READY_POLL_SECONDS = 0.02
log = get_logger()


async def say_ready_once(missing: Callable[[], Awaitable[str | None]]) -> None:
    """Log `ready` as soon as nothing is missing any more."""
    while await missing() is not None:
        await asyncio.sleep(READY_POLL_SECONDS)
    log.info("ready")
