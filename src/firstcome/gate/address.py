"""Where Redis is and how a connection introduces itself: shared by both kinds of connection.

redis://[[user]:password@]host[:port][/database], rediss:// for TLS, unix:///path.
"""

import ssl
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import hiredis

from firstcome.errors import GateUnavailable, InvalidSettings
from firstcome.gate.scripts import SCRIPTS

Command = tuple[str | bytes | int | float, ...]


class Address(NamedTuple):
    """A parsed address; `path` is set for a unix socket, `tls` for rediss://."""

    host: str
    port: int
    path: str | None
    user: str | None
    password: str | None
    database: int
    tls: ssl.SSLContext | None


def parse(url: str) -> Address:
    """Return the address in a URL. Raises InvalidSettings."""
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise InvalidSettings("redis.url must begin with redis://, rediss:// or unix://")
    database = parts.path.strip("/") if parts.scheme != "unix" else ""
    if database and not database.isdigit():
        raise InvalidSettings("redis.url must end in the number of a database, such as /0")
    return Address(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 6379,
        path=parts.path if parts.scheme == "unix" else None,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=int(database or 0),
        tls=ssl.create_default_context() if parts.scheme == "rediss" else None,
    )


def pack(command: Command) -> bytes:
    """Return one command as Redis reads it."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # stub: 1-tuples only
    return packed


def introduction(address: Address) -> list[Command]:
    """Return what a new connection sends first; the last reply holds the server's run_id."""
    commands: list[Command] = []
    if address.password is not None:
        user = (address.user,) if address.user else ()
        commands.append(("AUTH", *user, address.password))
    if address.database:
        commands.append(("SELECT", address.database))
    commands.extend(("SCRIPT", "LOAD", script.text) for script in SCRIPTS.values())
    commands.append(("INFO", "server"))
    return commands


def info(reply: object) -> dict[str, str]:
    """Return the fields of a reply to INFO."""
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def run_id_in(server: dict[str, str]) -> str:
    """Return what names one life of the server. Raises GateUnavailable where it is kept secret."""
    if run_id := server.get("run_id"):
        return run_id
    raise GateUnavailable(
        "INFO server tells no run_id, without which a restarted Redis cannot be told from the one "
        "before; nobody is admitted: allow the user of redis.url to see it",
        certain=True,
    )
