"""Where a user stands: from the gate, by long poll, and from rows while the gate is shut."""

import asyncio
from time import monotonic

import pytest

from firstcome.gate import keys, register, watcher
from firstcome.gate.gate import Gate
from firstcome.gate.session import GateSession
from firstcome.gate.watcher import SettledWatcher
from firstcome.issuance.status import StatusReader
from firstcome.model import Outcome, Standing, Status, UserId
from firstcome.settings import Settings
from tests.integration.engines import OwnEngines
from tests.integration.gate_stage import (
    campaign,
    connected,
    eventually,
    fresh_id,
    on_uvloop,
    open_gate,
)
from tests.integration.intake_stage import Stage, intake_stage

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]

UNAVAILABLE = Standing(Status.NOT_REQUESTED, problem=Outcome.UNAVAILABLE)


async def standing(stage: Stage, number: int, user: str, wait: float = 0.0) -> Standing:
    """Ask, and wait for the one answer."""
    stage.standings.clear()
    stage.read(number, user, wait)  # type: ignore[arg-type]
    await eventually("a standing", lambda: stage.standings)
    [found] = stage.standings
    return found


@on_uvloop
async def test_user_learns_where_he_stands(settings: Settings) -> None:
    async with intake_stage(settings) as stage:
        number = stage.open_campaign()
        for user, attempt in (("ann", 0), ("bob", 9)):
            stage.claim(number, user, attempt)
        await stage.all_answered()
        assert await standing(stage, number, "eve") == Standing(Status.NOT_REQUESTED)
        assert await standing(stage, number, "ann") == Standing(Status.REQUESTED, 1)
        assert await standing(stage, number, "bob") == Standing(Status.REQUESTED, 2)
        for code, status in ((2, Status.UNDER_REVIEW), (1, Status.ISSUED)):
            stage.settle(number, 2, code)
            assert await standing(stage, number, "bob", 5.0) == Standing(status, 2)


@on_uvloop
async def test_long_poll_ends_within_a_tick_of_the_decision(settings: Settings) -> None:
    async with intake_stage(settings) as stage:
        number = stage.open_campaign()
        stage.claim(number, "ann")
        await stage.all_answered()
        for _ in range(500):
            stage.read(number, "ann", 20.0)
        await eventually("waiters", lambda: len(stage.watcher) == 500)
        assert not stage.standings
        began = monotonic()
        stage.settle(number, 1)
        await eventually("standings", lambda: len(stage.standings) == 500)
        assert monotonic() - began < watcher.TICK_SECONDS + 0.5
        assert set(stage.standings) == {Standing(Status.ISSUED, 1)}
        assert len(stage.watcher) == 0


@on_uvloop
async def test_long_poll_says_requested_at_its_deadline(settings: Settings) -> None:
    bounded = settings.model_copy(
        update={"intake": settings.intake.model_copy(update={"status_wait_seconds_max": 0.5})}
    )
    async with intake_stage(bounded) as stage:
        number = stage.open_campaign()
        stage.claim(number, "ann")
        await stage.all_answered()
        for asked, waited in ((0.2, 0.2), (60.0, 0.5)):
            began = monotonic()
            assert await standing(stage, number, "ann", asked) == Standing(Status.REQUESTED, 1)
            assert waited <= monotonic() - began < waited + 0.5


@pytest.mark.parametrize("how", ["shut", "absent", "of an earlier life"])
@on_uvloop
async def test_user_is_told_what_the_rows_say_while_the_gate_is_shut(
    settings: Settings, how: str
) -> None:
    async with intake_stage(settings) as stage:
        number = stage.open_campaign()
        gate, session = keys.gate(number), stage.session
        stage.claim(number, "ann")
        await stage.all_answered()
        assert await standing(stage, number, "ann") == Standing(Status.REQUESTED, 1)
        if how == "shut":
            register.shut(session, number, "shut:1:token")
        elif how == "absent":
            session.call("DEL", gate)
        else:
            session.call("HSET", gate, "epoch", keys.epoch_field(1, "0" * 40))
        assert await standing(stage, number, "ann") == UNAVAILABLE
        assert await standing(stage, number, "eve", 5.0) == UNAVAILABLE
        for status in ("UNDER_REVIEW", "ISSUED"):
            stage.database.execute(
                "INSERT INTO issuances (campaign_id, position, epoch, status, user_id)"
                " VALUES (%s, 1, 1, %s, 'ann') ON CONFLICT (campaign_id, position)"
                " DO UPDATE SET status = excluded.status",
                (number, status),
            )
            assert await standing(stage, number, "ann") == Standing(Status(status), 1)
        unknown = Standing(Status.NOT_REQUESTED, problem=Outcome.NOT_FOUND)
        assert await standing(stage, fresh_id(), "ann") == unknown
        stage.database.execute(
            "UPDATE campaigns SET state = 'ARCHIVED' WHERE campaign_id = %s", (number,)
        )
        assert await standing(stage, number, "eve") == Standing(Status.NOT_REQUESTED)


@on_uvloop
async def test_a_status_does_not_go_back_when_redis_was_only_silent(own: OwnEngines) -> None:
    async with intake_stage(own.settings) as stage:
        number = stage.open_campaign()
        direct = stage.open_campaign()
        stage.database.execute(
            "UPDATE campaigns SET engine = 'direct' WHERE campaign_id = %s", (direct,)
        )
        stage.claim(number, "ann")
        await stage.all_answered()
        for campaign_id in (number, direct):
            stage.database.execute(
                "INSERT INTO issuances (campaign_id, position, epoch, status, user_id)"
                " VALUES (%s, 1, 1, 'ISSUED', 'ann')",
                (campaign_id,),
            )
        with own.stopped("redis"):
            assert await standing(stage, number, "ann") == UNAVAILABLE
            assert await standing(stage, direct, "ann") == Standing(Status.ISSUED, 1)
            stage.database.execute(
                "UPDATE issuances SET recorded_at = now() - interval '2 minutes'"
                " WHERE campaign_id = %s",
                (number,),
            )
            assert await standing(stage, number, "ann") == Standing(Status.ISSUED, 1)


@on_uvloop
async def test_status_is_unavailable_while_the_database_is_away_too(settings: Settings) -> None:
    class Broken:
        async def standing(self, *_: object) -> Standing:
            raise RuntimeError("planted")

    async with connected(settings.redis) as connection:
        gate = Gate(connection, settings.intake, lambda _: None)
        few = settings.intake.model_copy(update={"queue_claims_max": 3})
        reader = StatusReader(gate, SettledWatcher(connection, 9), Broken(), few)  # type: ignore[arg-type]
        heard: list[Standing] = []
        for n in range(100):
            reader.read(fresh_id(), UserId(f"user-{n}"), 1.0, heard.append)
        await eventually("standings", lambda: len(heard) == 100)
        assert set(heard) == {UNAVAILABLE}


@on_uvloop
async def test_watcher_tells_each_waiter_once_whatever_happens(settings: Settings) -> None:
    with GateSession.open(settings.redis) as session:
        numbers = [fresh_id() for _ in range(100)]  # more than are read in one tick
        for number in numbers:
            open_gate(session, campaign(number, limit=100_000))
        async with connected(settings.redis) as connection:
            watching = SettledWatcher(connection, 2000)
            heard: dict[tuple[int, int], list[Status]] = {}

            def watch(number: int, position: int, seconds: float) -> None:
                told = heard.setdefault((number, position), [])

                def tell(status: Status) -> None:
                    told.append(status)
                    if position % 7 == 0:
                        raise RuntimeError("planted")

                watching.watch(number, 1, position, monotonic() + seconds, tell)  # type: ignore[arg-type]

            for number in numbers:
                for position in (1, 3, 4, 7, 16_383, 16_384, 70_000):
                    watch(number, position, 20.0)
                watch(number, 5, 0.3)
            assert len(watching) == 800
            for number in numbers:
                session.settle(number, 1, [(1, 4, 1), (7, 7, 2), (16_383, 16_384, 3)])
            await eventually("the told", lambda: len(watching) == 100)
            assert {len(told) for (_, position), told in heard.items() if position < 70_000} == {1}
            for number in numbers:
                assert [heard[number, n][0] for n in (1, 3, 4)] == [Status.ISSUED] * 3
                assert heard[number, 5] == [Status.REQUESTED]
                assert heard[number, 7] == [Status.UNDER_REVIEW]
                assert heard[number, 16_383] == heard[number, 16_384] == [Status.CANCELLED]
            watching.close()
            assert {tuple(heard[number, 70_000]) for number in numbers} == {(Status.REQUESTED,)}
            watch(numbers[0], 6, 20.0)
            assert heard[numbers[0], 6] == [Status.REQUESTED]
            assert len(watching) == 0


@on_uvloop
async def test_watcher_bounds_its_waiters_and_forgets_the_told(settings: Settings) -> None:
    with GateSession.open(settings.redis) as session:
        number = fresh_id()
        open_gate(session, campaign(number, limit=100_000))
        async with connected(settings.redis) as connection:
            watching, heard = SettledWatcher(connection, 500), list[Status]()
            for turn in range(12):
                for n in range(600):
                    position = turn * 600 + n + 1
                    watching.watch(number, 1, position, monotonic() + 30, heard.append)
                assert len(watching) == 500
                assert heard[turn * 600 :] == [Status.REQUESTED] * 100
                session.settle(number, 1, [(1, turn * 600 + 600, 1)])
                await eventually("the told", lambda: len(watching) == 0)
                assert heard[turn * 600 + 100 :] == [Status.ISSUED] * 500
            assert len(watching._deadlines) <= watcher.DEADLINES_KEPT + 1000
            watching.close()


@on_uvloop
async def test_watcher_does_not_ask_a_slow_redis_again_and_again(settings: Settings) -> None:
    async with connected(settings.redis) as connection:
        watching = SettledWatcher(connection, 500)
        with GateSession.open(settings.redis) as session:
            number = fresh_id()
            watching.watch(number, 1, 1, monotonic() + 30, lambda _: None)
            session.call("CLIENT", "PAUSE", 400, "ALL")
        await asyncio.sleep(0.3)
        assert connection._wire is not None
        assert len(connection._wire.sent) <= 1
        watching.close()
