"""What ends a verb that has started a stack of its own: it takes the stack with it.

SIGTERM and SIGHUP would end the process at once and leave a whole stack at work, for its
supervisor has a session of its own. As an interrupt they pass through every `finally`.
"""

import signal
from types import FrameType


def end_by_interrupt() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does. In the main thread only."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
