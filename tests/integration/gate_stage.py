"""A Redis server of the test's own, open gates, and the parts that stand before them."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr

from firstcome.errors import GateUnavailable
from firstcome.gate import register
from firstcome.gate.connection import GateConnection
from firstcome.gate.gate import AskedClaim, Gate, Verdicts
from firstcome.gate.session import GateSession
from firstcome.local import redis
from firstcome.local.ports import reserve
from firstcome.model import Campaign, CampaignId, CampaignState, Engine, UserId
from firstcome.settings import IntakeSettings, RedisSettings

PASSWORD = "of-this-test-alone"
SECONDS = 20.0


class OwnRedis:
    """A server that a test may stop, kill and start again; its data stays."""

    def __init__(self, folder: Path) -> None:
        self.port = reserve(None)
        self.settings = RedisSettings(url=SecretStr(self.url(PASSWORD)))
        self._folder = folder
        self._spec = redis.spec(folder, self.port, PASSWORD)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, password: str) -> str:
        """Return its address with a password."""
        return f"redis://:{password}@127.0.0.1:{self.port}/0"

    def begin(self, *options: str) -> None:
        """Start it, without waiting."""
        self._spec.prepare()
        command = [*self._spec.command, *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.begin()
        until = time.monotonic() + SECONDS
        while True:
            try:
                GateSession.open(self.settings).close()
            except GateUnavailable:
                assert time.monotonic() < until
                time.sleep(0.01)
            else:
                return

    def restart(self, *, wiped: bool = False) -> None:
        """Begin another life, with the data of the last one or without."""
        self.kill()
        if wiped:
            shutil.rmtree(self._folder / "appendonlydir")
        self.start()

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep it from doing anything, without killing it."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    """Run a server in a folder."""
    server = OwnRedis(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test on the loop that the api runs on."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


def fresh_id() -> CampaignId:
    """Return a campaign's number that no other test uses: gates are shared by all tests."""
    return CampaignId(secrets.randbelow(2**35) + 2**20)


def campaign(campaign_id: CampaignId, *, limit: int = 1000, **fields: Any) -> Campaign:
    """Return a campaign in its first epoch."""
    made = Campaign(
        campaign_id=campaign_id,
        name="test",
        engine=Engine.KAFKA,
        state=CampaignState.OPEN,
        stock=limit,
        position_limit=limit,
        opens_at=None,
        closes_at=None,
        epoch=1,
        version=1,
        created_at=datetime.now(UTC),
    )
    return made._replace(**fields)


def open_gate(session: GateSession, of: Campaign, *, buckets: int = 7, last: int = 0) -> None:
    """Open a campaign's gate without a database."""
    token = f"{register.SHUT}{time.time():.3f}:{secrets.token_hex(4)}"
    register.shut(session, of.campaign_id, token)
    assert register.switch(session, of, token, buckets=buckets, position_last=last)


def remove(session: GateSession, campaign_id: CampaignId) -> None:
    """Remove every key of a campaign."""
    found = session.call("KEYS", f"fc:{{{campaign_id}}}:*")
    if isinstance(found, list) and found:
        session.call("DEL", *found)


async def eventually(
    what: str,
    look: Callable[[], Any],
    wanted: Callable[[Any], Any] = bool,
    seconds: float = SECONDS,
) -> Any:
    """Look until what is seen is wanted, and return it; else fail with the last value seen."""
    until = time.monotonic() + seconds
    while True:
        seen = look()
        if isinstance(seen, Awaitable):
            seen = await seen
        if wanted(seen):
            return seen
        assert time.monotonic() < until, f"{what}: not in {seconds} s; last seen: {seen!r}"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(settings: RedisSettings, *, wait: bool = True) -> AsyncIterator[GateConnection]:
    """Open the hot connection."""
    connection = GateConnection(settings, on_connected=lambda: None)
    connection.start()
    try:
        if wait:
            await eventually("a connection", lambda: connection.run_id)
        yield connection
    finally:
        await connection.close()


class Door:
    """A gate whose batches come back here."""

    def __init__(self, connection: GateConnection, settings: IntakeSettings) -> None:
        self.batches: list[Verdicts] = []
        self.gate = Gate(connection, settings, self.batches.append)

    def admit(self, campaign_id: CampaignId, user: str, attempt: int = 0) -> bool:
        """Queue one claim."""
        return self.gate.admit(campaign_id, AskedClaim(UserId(user), attempt, lambda _: None))

    @property
    def judged(self) -> list[tuple[str, int]]:
        """Every (user, reply) so far; -1: the claim failed for certain, -2: nobody knows."""
        return [
            (claim.user_id, reply)
            for batch in self.batches
            for claim, reply in zip(
                batch.claims,
                batch.replies
                if batch.failure is None
                else [-1 if batch.failure.certain else -2] * len(batch.claims),
                strict=True,
            )
        ]

    async def all_judged(self, count: int) -> list[tuple[str, int]]:
        """Wait until so many claims came back."""
        await eventually("the verdicts", lambda: len(self.judged), lambda seen: seen >= count)
        assert len(self.judged) == count
        return self.judged
