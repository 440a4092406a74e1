"""A thousand malformed requests while a drop runs beside them: nobody notices."""

import asyncio
import json
import os
import re
from collections import Counter
from random import SystemRandom
from urllib.parse import urlsplit

import pytest
from malformed import Malformed, Nonsense

from running import RunningStack, finished

pytestmark = pytest.mark.acceptance

CONNECTIONS = 24
QUIET_SECONDS = 0.25  # nothing more is expected after such a pause
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def test_malformed_requests_break_nothing_beside_a_drop(stack: RunningStack) -> None:
    seed = int(os.environ.get("FIRSTCOME_SEED") or SystemRandom().randrange(1_000_000))
    print(f"seed {seed}")
    campaign_id = stack.create(100_000)
    nonsense = Nonsense(seed, campaign_id, stack.settings["auth"]["secret"])
    before = stack.processes()
    drop = stack.start(
        *("drop", "--coupons", "2000", "--users", "4000", "--rate", "500", "--keyed", "0"),
        *("--connections", "64", "--json"),
    )
    address = urlsplit(stack.urls["api"])
    heard = asyncio.run(
        send_all(address.hostname or "", address.port or 0, nonsense.requests(1000))
    )

    report = json.loads(finished(drop, exit_code=0))
    assert (report["held"], report["failed"], report["issued"]) == (True, 0, 2000)
    bad = [(kind, status, content[:200]) for kind, status, content in heard if status >= 500]
    assert not bad, f"seed {seed}: {len(bad)} answers of 5xx, such as {bad[:5]}"
    statuses = Counter(status for _, status, _ in heard)
    print(f"answers: {dict(sorted(statuses.items()))}")
    assert {400, 401, 404, 405, 431} <= statuses.keys()
    assert stack.processes() == before
    assert stack.ask("GET", "/readyz").status == 200
    assert stack.said("verify", "--campaign", str(campaign_id))["held"] is True


async def send_all(host: str, port: int, requests: list[Malformed]) -> list[tuple[str, int, bytes]]:
    """Send each on a connection of its own; return kind, status and request of every answer."""
    free = asyncio.Semaphore(CONNECTIONS)

    async def send(request: Malformed) -> list[tuple[str, int, bytes]]:
        async with free:
            answers = await exchange(host, port, request.content)
            statuses = [int(found) for found in STATUS_LINE.findall(answers)]
            return [(request.kind, status, request.content) for status in statuses]

    answered = await asyncio.gather(*map(send, requests))
    return [answer for answers in answered for answer in answers]


async def exchange(host: str, port: int, content: bytes) -> bytes:
    """Send, and read until nothing more comes; a connection may be reset at any moment."""
    reader, writer = await asyncio.open_connection(host, port)
    answers = b""
    try:
        writer.write(content)
        while piece := await asyncio.wait_for(reader.read(65_536), QUIET_SECONDS):
            answers += piece
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return answers
