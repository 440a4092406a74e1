"""What makes two sets of figures comparable: the machine, the interpreter, the engines."""

import os
import platform
from pathlib import Path

from firstcome import postgres
from firstcome.bench.aftermath import session
from firstcome.errors import Unavailable
from firstcome.gate.session import GateSession
from firstcome.settings import Settings


def machine() -> dict[str, str]:
    """Describe this machine; what its kernel does not tell is left out."""
    found = {
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    if model := _field(Path("/proc/cpuinfo"), "model name"):
        found["cpu"] = model
    if memory := _field(Path("/proc/meminfo"), "MemTotal"):
        found["memory"] = f"{int(memory.split()[0]) / 2**20:.0f} GiB"
    return found


def engines(settings: Settings) -> dict[str, str]:
    """Ask Redis and PostgreSQL who they are; one that does not answer is left out."""
    found = {}
    try:
        with session(settings.postgres) as database, postgres.translated():
            row = database.execute(postgres.queries("drop")["version"]).fetchone()
            found["postgres"] = str(row[0]) if row else "unknown"
    except Unavailable:
        pass
    try:
        with GateSession.open(settings.redis) as gate:
            reply = gate.call("INFO", "server")
            found["redis"] = _version(reply.decode() if isinstance(reply, bytes) else "")
    except Unavailable:
        pass
    return found


def _version(info: str) -> str:
    """Return the server's own name and version; Valkey tells a Redis version beside its own."""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    if "valkey_version" in fields:
        return f"valkey {fields['valkey_version']}"
    return fields.get("redis_version", "unknown")


def _field(path: Path, name: str) -> str:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
