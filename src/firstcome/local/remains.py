"""What a supervisor that was killed outright may have left: children that are still dying.

The leash has already signalled them; the next supervisor waits for them, and ends those that do
not go. A pid counts only together with its birth time, so that no stranger is ever ended.
"""

import contextlib
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from firstcome.local.folder import StackFolder, read_json, write_json

if TYPE_CHECKING:
    import psutil

PATIENCE_SECONDS, POLL_SECONDS = 5.0, 0.02


def record(folder: StackFolder, pids: Iterable[int]) -> None:
    """Write down who the children are now."""
    import psutil  # only where a stack runs

    births = {}
    for pid in pids:
        try:
            births[str(pid)] = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            continue
    write_json(folder.children, births)


def clear(folder: StackFolder) -> int:
    """Return once no child of an earlier supervisor is alive; how many there were."""
    import psutil

    found = len(_alive(folder))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := _alive(folder):
        if time.monotonic() > deadline:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(POLL_SECONDS)
    folder.children.unlink(missing_ok=True)
    return found


def _alive(folder: StackFolder) -> "list[psutil.Process]":
    import psutil

    processes = []
    for pid, born in (read_json(folder.children) or {}).items():
        try:
            process = psutil.Process(int(pid))
            # A zombie is dead; that nobody has waited for it yet is init's affair.
            if process.create_time() == born and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
        except psutil.NoSuchProcess:
            continue
    return processes
