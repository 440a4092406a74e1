"""How long the garbage collector and a busy event loop hold a process up."""

import asyncio
import gc
from time import monotonic
from typing import Any

from firstcome.metrics.catalogue import GC_PAUSE, LOOP_PAUSE

LOOK_SECONDS = 0.1

_began = 0.0


def watch_collector() -> None:
    """Measure every garbage collection of this process from now on."""
    if _collected not in gc.callbacks:
        gc.callbacks.append(_collected)


async def watch_loop() -> None:
    """Measure how late the event loop is, until cancelled."""
    series = LOOP_PAUSE.of()
    while True:
        due = monotonic() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        series.observe(max(0.0, monotonic() - due))


def _collected(phase: str, _info: dict[str, Any]) -> None:
    global _began
    if phase == "start":
        _began = monotonic()
    else:
        GC_PAUSE.of().observe(monotonic() - _began)
