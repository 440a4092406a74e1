"""Which ports a stack may use: free ones, kept over restarts where possible.

A choice holds against other stacks that start at the same moment, because each stack also
reserves its ports by a name that the kernel gives to one process only.
"""

import random
import socket
import sys
from collections.abc import Iterator

# Below the range that the kernel takes for outgoing connections (from 32768): a crowd of clients
# must not sit on an engine's port while that engine restarts.
FIRST, LAST = 15_000, 28_000

# Descriptors that stay open, one per port.
_reserved: dict[int, int] = {}


def reserve(wanted: int | None, host: str = "127.0.0.1") -> int:
    """Return `wanted` if it is free, else a free port; reserved until this process ends."""
    for port in _candidates(wanted):
        if port not in _reserved and _is_free(port, host) and _is_mine(port):
            return port
    raise OSError(f"no free port between {FIRST} and {LAST} on {host}")


def is_reserved(port: int | None) -> bool:
    """Whether this process has the port already."""
    return port in _reserved


def _candidates(wanted: int | None) -> Iterator[int]:
    if wanted:
        yield wanted
    for _ in range(1000):
        yield random.randrange(FIRST, LAST)  # noqa: S311 - not a secret


def _is_free(port: int, host: str) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of an earlier life that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _is_mine(port: int) -> bool:
    """Take the port's name among stacks: an abstract socket, which dies with this process."""
    token = socket.socket(socket.AF_UNIX)
    if sys.platform == "linux":
        try:
            token.bind(f"\0firstcome-port-{port}")
        except OSError:
            token.close()
            return False
    _reserved[port] = token.detach()
    return True
