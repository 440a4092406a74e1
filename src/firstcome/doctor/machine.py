"""The machine and the settings: disk, memory, Python, open files, ports, keys.

What a process of ours meets before it has spoken to any engine.
"""

import http.client
import platform
import resource
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from firstcome.doctor.finding import Finding, failure, ok, warning
from firstcome.settings import Settings, state_folder

GIB = 2**30
DISK_BYTES_MIN, DISK_BYTES_GOOD = 1 * GIB, 5 * GIB  # one million claims take about 0.5 GB in all
MEMORY_BYTES_MIN, MEMORY_BYTES_GOOD = GIB // 2, 3 * GIB // 2  # the local stack takes 1 GB
FILES_BESIDE_CONNECTIONS = 200
PYTHON_MIN = (3, 11)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what was found."""
    yield _python()
    yield _disk()
    yield _memory()
    yield _files(settings.api.connections_max)
    yield _port("api port", settings.api.host, settings.api.port)
    yield _port("console port", settings.console.host, settings.console.port)
    yield from _keys(settings)
    yield from _failpoints(settings)


def _failpoints(settings: Settings) -> Iterator[Finding]:
    if folder := settings.failpoints.folder:
        yield warning(
            "failpoints",
            f"looked for in {folder}",
            "whoever can write there can break every process on purpose",
            "unset failpoints.folder outside tests",
        )


def _python() -> Finding:
    if sys.version_info < PYTHON_MIN:
        newer = "install Python 3.11 or newer"
        return failure("python", platform.python_version(), "firstcome needs a newer one", newer)
    return ok("python", platform.python_version())


def _disk() -> Finding:
    folder = state_folder()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return _enough("disk", free, DISK_BYTES_MIN, DISK_BYTES_GOOD, f"free under {folder}")


def _memory() -> Finding:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return ok("memory", "not known on this system")
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    return _enough("memory", free, MEMORY_BYTES_MIN, MEMORY_BYTES_GOOD, "available")


def _enough(subject: str, found: int, least: int, good: int, where: str) -> Finding:
    seen = f"{found / GIB:.1f} GiB {where}"
    if found < least:
        meaning = "an engine that runs out of it stops in mid-drop"
        return failure(subject, seen, meaning, f"make at least {good / GIB:.1f} GiB free")
    if found < good:
        meaning = "enough for a small drop only"
        return warning(subject, seen, meaning, f"make {good / GIB:.1f} GiB free before a large one")
    return ok(subject, seen)


def _files(connections_max: int) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections_max + FILES_BESIDE_CONNECTIONS
    seen = f"{soft:,} open files a process (at most {hard:,})"
    if soft != resource.RLIM_INFINITY and soft < needed:
        meaning = (
            f"an api process refuses connections before api.connections_max = {connections_max:,}"
        )
        return warning("open files", seen, meaning, f"ulimit -n {needed}, or lower that setting")
    return ok("open files", seen)


def _port(subject: str, host: str, port: int) -> Finding:
    """Free, or held by a process of ours that says so."""
    if port == 0:
        return ok(subject, "a free one will be taken")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            return failure(
                subject, f"{host}:{port}: {error}", "not allowed", "choose one above 1023"
            )
        except OSError as error:
            return _taken(subject, host, port, error)
    return ok(subject, f"{host}:{port} is free")


def _taken(subject: str, host: str, port: int, error: OSError) -> Finding:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        if connection.getresponse().status == 200:
            return ok(subject, f"{host}:{port} is served")
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    setting = subject.replace(" ", ".")
    meaning = "another program has it, or the address is not this machine's"
    return failure(subject, f"{host}:{port}: {error}", meaning, f"set {setting} to a free one")


def _keys(settings: Settings) -> Iterator[Finding]:
    auth, keys = (
        settings.auth,
        (settings.auth.secret, settings.auth.key_file, settings.auth.jwks_url),
    )
    if auth.mode == "jwt" and not any(keys):
        yield failure(
            "users' key",
            "auth.mode is jwt and no key is set",
            "no user can be told from another",
            "set one of auth.secret, auth.key_file and auth.jwks_url",
        )
    else:
        yield ok("users' key", f"auth.mode {auth.mode}")
    if settings.console.operator_key is None and not settings.console.operators:
        meaning = "the console refuses every command"
        yield warning(
            "operator key", "not set", meaning, "set console.operator_key or console.operators"
        )
    else:
        yield ok("operator key", "set")
    if settings.coupons.code_key is None:
        meaning = "coupons have no codes"
        yield warning("code key", "not set", meaning, "set coupons.code_key once, and keep it")
    else:
        yield ok("code key", "set")
