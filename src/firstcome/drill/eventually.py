"""Waiting for what must come true: never a sleep of a guessed length."""

import time
from collections.abc import Callable
from typing import Any

from firstcome.errors import FirstcomeError

POLL_SECONDS = 0.02


class NotSeen(FirstcomeError):
    """Something did not come true in its time; the message holds the last value seen."""


def eventually(
    what: str,
    look: Callable[[], Any],
    is_true: Callable[[Any], Any] = bool,
    seconds: float = 30.0,
    every: float = POLL_SECONDS,
) -> Any:
    """Look until what is seen is true, and return it. Raises NotSeen."""
    deadline = time.monotonic() + seconds
    while not is_true(seen := look()):
        if time.monotonic() > deadline:
            raise NotSeen(f"{what}: not in {seconds:g} s; last seen: {seen!r}")
        time.sleep(every)
    return seen


def wait(seconds: float) -> None:
    """Let time pass: how long a fault lasts is a part of it."""
    time.sleep(max(0.0, seconds))
