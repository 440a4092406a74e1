"""Which engine takes a claim, while the directory answers, is slow, or cannot."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from firstcome.errors import DatabaseUnavailable, LaterVersion
from firstcome.issuance.engines import AWAY_SECONDS, UNKNOWN_SECONDS, Engines
from firstcome.model import Answer, CampaignId, Engine, Outcome, UserId

pytestmark = pytest.mark.unit

KAFKA, DIRECT, NOBODY, STRANGE = CampaignId(1), CampaignId(2), CampaignId(3), CampaignId(4)


class Way:
    """Remembers who came."""

    def __init__(self) -> None:
        self.came: list[str] = []

    def claim(self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Any) -> None:
        self.came.append(user_id)
        reply(Answer(Outcome.REQUESTED))

    async def stock_left(self, campaign_ids: Sequence[CampaignId]) -> dict[CampaignId, int]:
        return {each: len(self.came) for each in campaign_ids}

    async def drain(self) -> None:
        self.came.append("drained")


class Scene:
    """Two engines, and a directory that answers when it is let."""

    def __init__(self, waiting_max: int = 100) -> None:
        self.now = 100.0
        self.is_away = False
        self.refusal: LaterVersion | None = None
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.gate, self.direct = Way(), Way()
        ways: dict[Engine, Any] = {Engine.KAFKA: self.gate, Engine.DIRECT: self.direct}
        directory: Any = self
        self.engines = Engines(ways, directory, waiting_max, clock=lambda: self.now)
        self.heard: list[Answer] = []

    async def get(self, campaign_id: CampaignId) -> Any:
        """Stand for the directory."""
        self.asked += 1
        await self.answers.wait()
        if self.refusal is not None:
            raise self.refusal
        if self.is_away:
            raise DatabaseUnavailable("planted")
        return None if campaign_id == NOBODY else self.offer(campaign_id)

    def offer(self, campaign_id: CampaignId) -> Any:
        """Stand for a campaign."""
        engine = {KAFKA: Engine.KAFKA, DIRECT: Engine.DIRECT}[campaign_id]
        return type("Campaign", (), {"campaign_id": campaign_id, "engine": engine})

    async def claim(self, campaign_id: CampaignId, *users: str) -> None:
        """Claim for these users, and let everything happen."""
        for user in users:
            self.engines.claim(campaign_id, UserId(user), 0, self.heard.append)
        await asyncio.sleep(0.01)


async def test_each_claim_goes_to_its_campaigns_engine_and_is_looked_up_once() -> None:
    scene = Scene()
    await scene.claim(KAFKA, "ann")
    await scene.claim(DIRECT, "bob")
    await scene.claim(DIRECT, "eve")
    assert (scene.gate.came, scene.direct.came, scene.asked) == (["ann"], ["bob", "eve"], 2)
    offers: Any = [scene.offer(DIRECT), scene.offer(KAFKA)]
    assert await scene.engines.stock_left(offers) == [2, 1]


async def test_claims_wait_for_one_lookup_and_keep_their_order() -> None:
    scene = Scene(waiting_max=3)
    scene.answers.clear()
    await scene.claim(DIRECT, "a", "b", "c", "d")
    assert scene.heard == [Answer(Outcome.UNAVAILABLE)]
    scene.answers.set()
    await scene.engines.drain()
    assert scene.direct.came == ["a", "b", "c", "drained"]
    assert scene.asked == 1


async def test_claim_for_a_campaign_of_a_later_version_reaches_no_engine() -> None:
    scene = Scene()
    scene.refusal = LaterVersion("planted")
    await scene.claim(STRANGE, "ann")
    await scene.claim(STRANGE, "bob")
    assert scene.heard == [Answer(Outcome.UNAVAILABLE)] * 2
    assert (scene.gate.came, scene.direct.came) == ([], [])
    scene.refusal = None
    await scene.claim(DIRECT, "eve")
    assert scene.direct.came == ["eve"]


@pytest.mark.parametrize(("is_away", "seconds"), [(True, AWAY_SECONDS), (False, UNKNOWN_SECONDS)])
async def test_what_nobody_knows_goes_to_the_gate_and_is_looked_up_later(
    is_away: bool, seconds: float
) -> None:
    scene = Scene()
    scene.is_away = is_away
    await scene.claim(NOBODY, "ann")
    await scene.claim(NOBODY, "bob")
    assert (scene.gate.came, scene.asked) == (["ann", "bob"], 1)
    scene.now += seconds
    await scene.claim(NOBODY, "eve")
    assert (scene.gate.came, scene.asked) == (["ann", "bob", "eve"], 2)
