"""Redis: version, memory, persistence, clock, and the gate of every campaign.

The gate can be rebuilt from the database, so nothing here loses a coupon; what is wrong here
costs time after a restart, or lets the gate forget users in mid-drop.
"""

import time
from collections.abc import Iterator
from typing import cast

from firstcome.doctor.finding import Finding, clock, failure, ok, wanted, warning
from firstcome.errors import GateUnavailable
from firstcome.gate import register
from firstcome.gate.address import info
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId
from firstcome.settings import Settings

VERSION_MIN = 7
LISTPACK_ENTRIES_MIN = 100  # twice rebuild.bucket_users' default
SHUT_NAMED_MAX = 5


def examine(settings: Settings, epochs: dict[int, int]) -> Iterator[Finding]:
    """Yield what was found; `epochs`: the database's epoch of each campaign with a gate.

    Raises GateUnavailable.
    """
    with GateSession.open(settings.redis) as session:
        server = info(session.call("INFO"))
        yield _version(server)
        yield clock("redis clock", _skew(session), settings.laws.clock_skew_seconds)
        yield from _memory(session, server)
        yield from _persistence(session, server)
        yield _listpacks(session, settings.rebuild.bucket_users)
        yield from _replicas(session, server)
        yield _gates(session, epochs)


def _setting(session: GateSession, name: str) -> str | None:
    """Return a server setting; None where a managed server does not tell."""
    try:
        reply = cast(list[bytes], session.call("CONFIG", "GET", name))
    except GateUnavailable as error:
        if error.certain:
            return None
        raise
    return reply[1].decode() if len(reply) > 1 else None


def _version(server: dict[str, str]) -> Finding:
    version = server["redis_version"]
    seen = f"{server.get('server_name', 'redis')} {server.get('valkey_version', version)}"
    if int(version.split(".")[0]) < VERSION_MIN:
        meaning = "the scripts use commands that it does not have"
        return failure("redis version", seen, meaning, "use Redis >= 7 or Valkey")
    return ok("redis version", seen)


def _skew(session: GateSession) -> float:
    before = time.time()
    seconds, micros = cast(list[bytes], session.call("TIME"))
    return int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2


def _memory(session: GateSession, server: dict[str, str]) -> Iterator[Finding]:
    policy = _setting(session, "maxmemory-policy") or server.get("maxmemory_policy", "not told")
    problem = failure(
        "redis eviction",
        policy,
        "a full Redis throws users and numbers of a running drop away",
        "set maxmemory-policy to noeviction",
    )
    yield wanted("redis eviction", policy, ("noeviction",), problem)
    used, most = int(server["used_memory"]), int(server.get("maxmemory", 0))
    seen = (
        f"{used / 2**20:.0f} MiB used of {most / 2**20:.0f}" if most else f"{used / 2**20:.0f} MiB"
    )
    if most and used > 0.8 * most:
        meaning = "when it is full the gate admits nobody: a million users take about 20 MiB"
        yield warning("redis memory", seen, meaning, "raise maxmemory, or archive campaigns")
    else:
        yield ok("redis memory", seen)


def _persistence(session: GateSession, server: dict[str, str]) -> Iterator[Finding]:
    enabled = server.get("aof_enabled") == "1"
    if not enabled:
        yield warning(
            "redis append-only file",
            "off",
            "after a restart of Redis the journal is gone: claims that only it knew are lost to "
            "engine queue, and wait for the log with engine kafka",
            "set appendonly to yes",
        )
        return
    sync = _setting(session, "appendfsync") or "not told"
    if server.get("aof_last_write_status", "ok") != "ok":
        meaning = "Redis refuses every write, so nobody is admitted"
        yield failure("redis append-only file", "last write failed", meaning, "look at its disk")
    else:
        yield ok("redis append-only file", f"on, appendfsync {sync}")


def _listpacks(session: GateSession, bucket_users: int) -> Finding:
    found = _setting(session, "hash-max-listpack-entries")
    least = max(LISTPACK_ENTRIES_MIN, 2 * bucket_users)
    subject = "redis listpacks"
    if found is None:
        return ok(subject, "not told")
    if int(found) < least:
        meaning = "a bucket of users takes four times the memory"
        return warning(subject, found, meaning, f"set hash-max-listpack-entries to {least}")
    return ok(subject, f"hash-max-listpack-entries {found}")


def _replicas(session: GateSession, server: dict[str, str]) -> Iterator[Finding]:
    replicas = int(server.get("connected_slaves", 0))
    if replicas and _setting(session, "min-replicas-to-write") == "0":
        yield warning(
            "redis replicas",
            f"{replicas}, and a master without them goes on",
            "an old master that is cut off still admits; its users wait in vain (law L3)",
            "set min-replicas-to-write to 1",
        )


def _gates(session: GateSession, epochs: dict[int, int]) -> Finding:
    """Every gate is open in the database's epoch, for this life of the server."""
    behind = [
        number
        for number, epoch in epochs.items()
        if register.read(session, CampaignId(number)).epoch != epoch
    ]
    if behind:
        named = ", ".join(map(str, behind[:SHUT_NAMED_MAX]))
        return warning(
            "gates",
            f"{len(behind)} of {len(epochs)} shut or not of this epoch: campaigns {named}",
            "they admit nobody until they are rebuilt",
            "see that a sweeper runs; it rebuilds within seconds",
        )
    return ok("gates", f"{len(epochs)} open")
