"""What campaigns have left, as everybody is told who asks."""

import asyncio
from collections.abc import Sequence

import pytest

from firstcome.issuance.stock import ASKED_MAX, KNOWN_SECONDS, UNKNOWN_SECONDS, StockBoard
from firstcome.model import CampaignId

pytestmark = pytest.mark.unit

SHUT = CampaignId(7)
MANY = [CampaignId(number) for number in range(100, 1_300)]


class Scene:
    """A board, and an engine whose campaigns have as much left as questions came."""

    def __init__(self) -> None:
        self.now = 0.0
        self.questions: list[int] = []
        self.at_once = 0
        self.at_once_max = 0
        self.board = StockBoard(self.ask, clock=lambda: self.now)

    async def ask(self, campaign_ids: Sequence[CampaignId]) -> dict[CampaignId, int]:
        """Stand for an engine."""
        self.questions.append(len(campaign_ids))
        self.at_once += len(campaign_ids)
        self.at_once_max = max(self.at_once_max, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= len(campaign_ids)
        return {each: len(self.questions) for each in campaign_ids if each != SHUT}


async def test_board_asks_for_a_campaign_once_a_second_however_many_look() -> None:
    scene, number = Scene(), CampaignId(1)
    told = await asyncio.gather(*(scene.board.left([number]) for _ in range(100)))
    assert (told, scene.questions) == ([{number: 1}] * 100, [1])
    scene.now += KNOWN_SECONDS
    assert await scene.board.left([number]) == {number: 2}


async def test_board_asks_sooner_for_what_was_not_known() -> None:
    scene = Scene()
    assert await scene.board.left([SHUT]) == {SHUT: None}
    assert await scene.board.left([SHUT]) == {SHUT: None}
    assert scene.questions == [1]
    scene.now += UNKNOWN_SECONDS
    await scene.board.left([SHUT])
    assert scene.questions == [1, 1]


async def test_board_asks_for_few_campaigns_at_once_however_many_look() -> None:
    scene = Scene()
    told = await asyncio.gather(*(scene.board.left(MANY) for _ in range(10)))
    assert all(len(each) == len(MANY) for each in told)
    assert (sum(scene.questions), scene.at_once_max) == (len(MANY), ASKED_MAX)


async def test_board_asks_again_when_an_asker_went_away() -> None:
    scene, number = Scene(), CampaignId(1)
    first = asyncio.create_task(scene.board.left([number]))
    second = asyncio.create_task(scene.board.left([number]))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {number: 2}
