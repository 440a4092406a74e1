"""A blocking connection to one life of one Redis server.

For the recorder, the sweeper, the rebuild and the command line. It never
reconnects: the first failure ends it, so that everything done through one
session was done to the server whose `run_id` it read when it opened. It never
repeats a command either; whether a failed one ran is not known.
"""

import socket
from collections.abc import Iterable, Sequence
from typing import Self

import hiredis

from firstcome.errors import GateUnavailable
from firstcome.gate import keys
from firstcome.gate.address import Address, info, introduction, pack, parse, run_id_in
from firstcome.gate.scripts import SCRIPTS
from firstcome.model import CampaignId
from firstcome.settings import RedisSettings

Argument = str | bytes | int | float
RANGES_MAX = 500  # of one settle call: some hundred microseconds of Redis' time


class GateSession:
    """Use `open`, or as a context manager. Not for two threads."""

    def __init__(self, link: socket.socket) -> None:
        self._socket: socket.socket | None = link
        self._reader = hiredis.Reader()
        self.run_id = ""
        self.uptime_seconds = 0

    @classmethod
    def open(cls, settings: RedisSettings) -> Self:
        """Connect, authenticate, load the scripts. Raises GateUnavailable."""
        address = parse(settings.url.get_secret_value())
        try:
            link = _connect(address, settings.connect_timeout_seconds)
            session = cls(link)
            replies = session.pipeline(introduction(address))
        except OSError as error:
            raise GateUnavailable(f"Redis cannot be reached: {error}", certain=True) from error
        for reply in replies:
            if isinstance(reply, Exception):
                session.close()
                raise GateUnavailable(f"Redis refused the connection: {reply}", certain=True)
        server = info(replies[-1])
        session.run_id = run_id_in(server)
        session.uptime_seconds = int(server["uptime_in_seconds"])
        link.settimeout(settings.call_timeout_seconds)
        return session

    def was_replica(self) -> bool:
        """Whether this server may hold the keys of a master that worked beside it."""
        replication = info(self.call("INFO", "replication"))
        is_master = replication.get("role") == "master"
        return not is_master or replication.get("second_repl_offset") != "-1"

    def call(self, *args: Argument) -> object:
        """Return the reply. Raises GateUnavailable: a refusal is certain, silence is not."""
        reply = self.pipeline([args])[0]
        if isinstance(reply, Exception):
            raise GateUnavailable(f"Redis refused {args[0]!r}: {reply}", certain=True)
        return reply

    def pipeline(self, commands: Iterable[Sequence[Argument]]) -> list[object]:
        """Send all, then read all replies; an error reply is returned as an exception object."""
        packed = [pack(tuple(command)) for command in commands]
        if self._socket is None:
            raise GateUnavailable("this session with Redis has ended", certain=True)
        try:
            self._socket.sendall(b"".join(packed))
            return [self._read() for _ in packed]
        except (OSError, hiredis.HiredisError) as error:
            self.close()
            raise GateUnavailable(f"Redis gave no answer: {error or 'time is up'}") from error

    def script(self, name: str, keys_: Sequence[str], args: Sequence[Argument]) -> object:
        """Run lua/<name>.lua. Raises GateUnavailable."""
        return self.call("EVALSHA", SCRIPTS[name].sha, len(keys_), *keys_, *args)

    def settle(
        self, campaign_id: CampaignId, epoch: int, ranges: Sequence[tuple[int, int, int]]
    ) -> int:
        """Write what became of ranges of positions: (first, last, index into model.SETTLED).

        Idempotent. Returns the positions written; 0 when the gate is of another epoch.
        """
        names = (keys.gate(campaign_id), keys.settled(campaign_id, epoch))
        written = 0
        for start in range(0, len(ranges), RANGES_MAX):
            flat = [value for range_ in ranges[start : start + RANGES_MAX] for value in range_]
            count = self.script("settle", names, [epoch, *flat])
            if not isinstance(count, int) or count < 0:
                break
            written += count
        return written

    def close(self) -> None:
        """End the session. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> object:
        assert self._socket is not None  # noqa: S101 - pipeline() has checked
        reply: object = self._reader.gets()
        while reply is False:
            data = self._socket.recv(65_536)
            if not data:
                raise OSError("Redis closed the connection")
            self._reader.feed(data)
            reply = self._reader.gets()
        return reply


def _connect(address: Address, timeout_seconds: float) -> socket.socket:
    if address.path is not None:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(timeout_seconds)
        try:
            link.connect(address.path)
        except OSError:
            link.close()
            raise
        return link
    link = socket.create_connection((address.host, address.port), timeout_seconds)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.tls is not None:
        # It takes the socket over, also when the handshake fails.
        return address.tls.wrap_socket(link, server_hostname=address.host)
    return link
