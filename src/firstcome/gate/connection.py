"""The hot connection: one pipelined connection to Redis, shared by every claim of a process.

Commands are written as they come and answered in order. A command without a
reply in time ends the connection: its reply and all that were to follow are
thrown away with it, so that no reply can ever reach another command's caller.
What was sent and not answered has an unknown outcome; what was never sent is
certain. The connection comes back by itself and reads the server's run_id anew.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import NamedTuple, cast

import hiredis

from firstcome.errors import GateUnavailable
from firstcome.gate.address import Address, Command, info, introduction, pack, parse, run_id_in
from firstcome.gate.scripts import SCRIPTS
from firstcome.logs import get_logger
from firstcome.settings import RedisSettings

Reply = Callable[[object], None]
RECONNECT_PAUSE_SECONDS_MAX = 1.0
WATCH_SECONDS = 0.05  # how often the oldest unanswered command is looked at
log = get_logger()


class _Sent(NamedTuple):
    due: float  # monotonic time at which waiting ends
    on_reply: Reply
    repeat: bytes | None  # an EVALSHA that may be sent once more after NOSCRIPT


class _Wire(asyncio.Protocol):
    """One TCP connection: bytes out, replies in, matched by order."""

    def __init__(self, on_lost: Callable[["_Wire"], None]) -> None:
        self._reader = hiredis.Reader()
        self._on_lost = on_lost
        self._transport: asyncio.WriteTransport | None = None
        self.sent: deque[_Sent] = deque()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, data: bytes, due: float, on_reply: Reply, repeat: bytes | None = None) -> None:
        assert self._transport is not None  # noqa: S101
        self.sent.append(_Sent(due, on_reply, repeat))
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        reader, sent = self._reader, self.sent
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            command = sent.popleft()
            if (
                command.repeat is not None
                and isinstance(reply, hiredis.ReplyError)
                and str(reply).startswith("NOSCRIPT")
            ):
                self._load_and_repeat(command)
            else:
                _tell(command, reply)

    def _load_and_repeat(self, command: _Sent) -> None:
        """Send scripts and command again: NOSCRIPT proves that nothing ran."""
        assert command.repeat is not None  # noqa: S101
        for script in SCRIPTS.values():
            load = pack(("SCRIPT", "LOAD", script.text))
            self.send(load, command.due, lambda _: None)
        self.send(command.repeat, command.due, command.on_reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(self)
        self.lost.set()
        lost = GateUnavailable(f"the connection to Redis was lost: {exc or 'closed'}")
        while self.sent:
            _tell(self.sent.popleft(), lost)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _tell(command: _Sent, reply: object) -> None:
    """Hand a reply over; one caller's fault must not cost the others their connection."""
    try:
        command.on_reply(reply)
    except Exception:
        log.exception("redis_reply_mishandled")


def _resolve(future: "asyncio.Future[object]", reply: object) -> None:
    if not future.done():  # whoever asked may have given up
        future.set_result(reply)


class GateConnection:
    """Keeps one connection open; `run_id` is None while there is none.

    Every callback gets the reply: a value, a hiredis.ReplyError (Redis refused, nothing was
    done) or a GateUnavailable. It is called exactly once, and must not raise.
    """

    def __init__(self, settings: RedisSettings, on_connected: Callable[[], None]) -> None:
        self._settings = settings
        self._address: Address = parse(settings.url.get_secret_value())
        self._on_connected = on_connected
        self._wire: _Wire | None = None
        self._task: asyncio.Task[None] | None = None
        self.run_id: str | None = None

    def start(self) -> None:
        """Begin to connect, and to reconnect for ever."""
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())

    async def close(self) -> None:
        """Stop; commands without a reply hear GateUnavailable."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._wire is not None:
            self._wire.abort()
            await asyncio.wait_for(self._wire.lost.wait(), 1)

    def call(self, command: Command, on_reply: Reply) -> None:
        """Send one command; without a connection, or with too many under way, refuse it."""
        self._send(pack(command), on_reply, repeat=False)

    def script(
        self, name: str, keys: Sequence[str], args: Sequence[str | int], on_reply: Reply
    ) -> None:
        """Run lua/<name>.lua; a server that has forgotten the scripts is given them again."""
        command = ("EVALSHA", SCRIPTS[name].sha, len(keys), *keys, *args)
        self._send(pack(command), on_reply, repeat=True)

    def asked(self, command: Command) -> "asyncio.Future[object]":
        """Send one command as `call` does; its reply is the future's result, failures too."""
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.call(command, partial(_resolve, reply))
        return reply

    def asked_script(
        self, name: str, keys: Sequence[str], args: Sequence[str | int]
    ) -> "asyncio.Future[object]":
        """Run a script as `script` does; its reply is the future's result, failures too."""
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.script(name, keys, args, partial(_resolve, reply))
        return reply

    def _send(self, data: bytes, on_reply: Reply, *, repeat: bool) -> None:
        wire = self._wire
        if wire is None or self.run_id is None:
            on_reply(GateUnavailable("there is no connection to Redis", certain=True))
        elif len(wire.sent) >= self._settings.calls_in_flight_max:
            on_reply(GateUnavailable("too many calls to Redis are under way", certain=True))
        else:
            due = monotonic() + self._settings.call_timeout_seconds
            wire.send(data, due, on_reply, data if repeat else None)

    async def _keep_connected(self) -> None:
        pause = 0.05
        while True:
            try:
                await self._connect()
                pause = 0.05
                self._on_connected()
                await self._watch()
                log.warning("redis_connection_lost")
            except (OSError, GateUnavailable, TimeoutError) as error:
                log.warning("redis_unreachable", error=str(error))
            if self._wire is not None:
                self._wire.abort()
            self.run_id = None
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(pause * 2, RECONNECT_PAUSE_SECONDS_MAX)

    async def _connect(self) -> None:
        loop, address = asyncio.get_running_loop(), self._address
        async with asyncio.timeout(self._settings.connect_timeout_seconds):
            if address.path is not None:
                _, wire = await loop.create_unix_connection(self._new_wire, address.path)
            else:
                _, wire = await loop.create_connection(
                    self._new_wire, address.host, address.port, ssl=address.tls
                )
            self._wire = wire
            self.run_id = await self._introduce(wire)

    def _new_wire(self) -> _Wire:
        return _Wire(self._on_wire_lost)

    def _on_wire_lost(self, wire: _Wire) -> None:
        if wire is self._wire:  # not one that was given up before this one
            self.run_id = None  # refuse at once: nothing written from here on would be answered

    async def _introduce(self, wire: _Wire) -> str:
        commands = introduction(self._address)
        replies: list[object] = []
        done = asyncio.get_running_loop().create_future()

        def collect(reply: object) -> None:
            replies.append(reply)
            failed = isinstance(reply, Exception)
            if (failed or len(replies) == len(commands)) and not done.done():
                done.set_result(reply)

        for command in commands:
            wire.send(pack(command), float("inf"), collect)
        last = await done
        if isinstance(last, Exception):
            raise GateUnavailable(f"Redis refused the connection: {last}", certain=True)
        return run_id_in(info(last))

    async def _watch(self) -> None:
        """Return when the connection is lost, or end it when the oldest command is overdue."""
        wire = self._wire
        assert wire is not None  # noqa: S101
        while not wire.lost.is_set():
            if wire.sent and wire.sent[0].due < monotonic():
                log.warning("redis_call_timed_out", calls_in_flight=len(wire.sent))
                self.run_id = None
                wire.abort()
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the loss.
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await wire.lost.wait()
