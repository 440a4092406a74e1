"""Looking at what campaigns have left, while others claim."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from firstcome.gate.session import GateSession
from firstcome.issuance.engines import Engines
from firstcome.model import Engine
from firstcome.settings import IntakeSettings
from tests.integration.gate_stage import (
    Door,
    campaign,
    connected,
    fresh_id,
    on_uvloop,
    open_gate,
    own_redis,
)

pytestmark = pytest.mark.integration

CAMPAIGNS, LOOKS, CLAIMS = 1_200, 5, 40


@on_uvloop
async def test_looking_at_every_campaign_refuses_no_claim(tmp_path: Path) -> None:
    made = [campaign(fresh_id(), limit=100 + n) for n in range(CAMPAIGNS)]
    with own_redis(tmp_path) as server, GateSession.open(server.settings) as session:
        assert len(made) > server.settings.calls_in_flight_max
        for each in made:
            open_gate(session, each)
        async with connected(server.settings) as connection:
            door = Door(connection, IntakeSettings())
            way: Any = door.gate
            directory: Any = None
            engines = Engines({Engine.KAFKA: way}, directory, 1)
            looks = [asyncio.create_task(engines.stock_left(made)) for _ in range(LOOKS)]
            await asyncio.sleep(0)  # the questions are under way
            for n in range(CLAIMS):
                door.admit(made[n].campaign_id, f"user-{n}")
            judged = await door.all_judged(CLAIMS)
            assert [user for user, reply in judged if reply < 0] == []
            for left in await asyncio.gather(*looks):
                assert [100 + n - seen for n, seen in enumerate(left)][CLAIMS:] == [0] * (
                    CAMPAIGNS - CLAIMS
                )
