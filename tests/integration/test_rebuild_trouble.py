"""Rebuilds that meet each other, die half-way, are stopped, or lose an engine."""

import time
from collections.abc import Iterator
from itertools import count
from threading import Event, Thread

import pytest

from firstcome import rebuild as rebuild_module
from firstcome.errors import DatabaseUnavailable, GateUnavailable
from firstcome.gate import keys, register
from firstcome.gate.register import Loader
from firstcome.model import CampaignId
from firstcome.settings import Settings
from running import eventually
from tests.integration.gate_stage import OwnRedis, own_redis
from tests.integration.rebuild_stage import (
    ADMITTED,
    GRACE,
    check_mixed_drop,
    mixed_drop,
    place,
    run,
)
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """A server that these tests maltreat."""
    with own_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def drop(
    settings: Settings, server: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Recovery]:
    """A drop of this test alone, on a Redis that it may kill."""
    monkeypatch.setattr(rebuild_module, "GRACE_SECONDS", GRACE)
    recovery = Recovery(scaled(settings, redis={"url": server.settings.url}))
    yield recovery
    recovery.close()


def test_second_rebuild_leaves_the_first_one_alone(drop: Recovery) -> None:
    number, other = drop.open_campaign(), drop.open_campaign()
    is_shut, go_on = Event(), Event()

    def wait(step: str) -> None:
        if "gate shut" in step:
            is_shut.set()
            assert go_on.wait(10)

    first = Thread(target=lambda: run(drop, number, progress=wait))
    first.start()
    assert is_shut.wait(10)
    field = register.read(drop.session, number).field
    said: list[str] = []
    assert run(drop, number, other, progress=said.append) == 0
    assert [each.partition(":")[0] for each in said] == ["another rebuild is at work"]
    assert register.read(drop.session, number).field == field
    assert register.read(drop.session, other).epoch == 1
    go_on.set()
    first.join()
    assert register.read(drop.session, number).epoch == 2


def test_rebuild_leaves_a_gate_open_that_somebody_else_has_just_rebuilt(drop: Recovery) -> None:
    number = drop.open_campaign(epoch=0)
    seen = drop.campaign(number)
    assert drop.rebuild().run_once([seen]) == 1
    assert drop.admit(number, "ann") == [place(1, ADMITTED)]
    assert drop.rebuild().run_once([seen]) == 0
    assert register.read(drop.session, number).epoch == 1
    assert drop.admit(number, "bob") == [place(2, ADMITTED)]


def test_rebuild_of_stale_gates_leaves_one_open_that_is_not_stale_any_more(
    drop: Recovery,
) -> None:
    """The sweeper looked while another rebuild was loading the epoch that it saw."""
    number, stale = drop.open_campaign(), drop.open_campaign()
    drop.session.call("DEL", keys.gate(stale))
    seen = [drop.campaign(each) for each in (number, stale)]
    assert drop.rebuild().run_once(seen, only_stale=True) == 1
    assert register.read(drop.session, number).epoch == 1
    assert register.read(drop.session, stale).epoch == 2
    assert drop.rebuild().run_once([drop.campaign(number)]) == 1


@pytest.mark.parametrize("when", ["waiting for recorders", "rows loaded"])
def test_stop_interrupts_a_rebuild(drop: Recovery, when: str) -> None:
    number, stop = drop.open_campaign(), Event()
    drop.append(number, 1, ["ann"])
    if when == "rows loaded":
        drop.record_log()

    def stop_soon(step: str) -> None:
        if when in step:
            stop.set()

    began = time.monotonic()
    assert run(drop, number, stop=stop, progress=stop_soon) == 0
    assert time.monotonic() - began < 5
    assert register.read(drop.session, number).epoch is None
    drop.record_log()
    run_alone(drop, number)


def test_rebuild_that_was_overtaken_begins_no_epoch(drop: Recovery) -> None:
    number = drop.open_campaign()

    def overtake(step: str) -> None:
        if "gate shut" in step:
            drop.database.execute(
                "UPDATE campaigns SET epoch = 2 WHERE campaign_id = %s", (number,)
            )

    assert run(drop, number, progress=overtake) == 0
    assert drop.campaign(number).epoch == 2
    assert register.read(drop.session, number).epoch is None
    run_alone(drop, number)


class Crash(Exception):
    """The process dies here."""


def _crash(*_: object, **__: object) -> None:
    raise Crash


@pytest.mark.parametrize(
    "step",
    [
        "Rebuild._wait_for_recorders",
        "Rebuild._record_journal",
        "Rebuild._begin_epoch",
        "Rebuild._load",
        "Loader.flush",
        "Loader.finish",
        "switch",
        "Rebuild._unlink_ended",
    ],
)
def test_rebuild_that_dies_half_way_is_finished_by_the_next(
    drop: Recovery, server: OwnRedis, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    number = mixed_drop(drop)
    server.restart(wiped=True)
    drop.reconnect()
    owner, _, name = step.rpartition(".")
    target = {"Rebuild": rebuild_module.Rebuild, "Loader": Loader, "": register}[owner]
    with monkeypatch.context() as patch:
        patch.setattr(target, name, _crash)
        with pytest.raises(Crash):
            run(drop, number)
    is_open = register.read(drop.session, number).epoch is not None
    assert is_open is (name == "_unlink_ended")
    run_alone(drop, number)
    check_mixed_drop(drop, number, holes={4: None, 6: None})


@pytest.mark.parametrize("calls", [1, 3, 5, 7])
def test_rebuild_that_loses_redis_half_way_leaves_the_gate_shut(
    drop: Recovery, server: OwnRedis, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    number = mixed_drop(drop)
    server.restart(wiped=True)
    drop.reconnect()
    counted, pipeline = count(), drop.session.__class__.pipeline

    def lose(session: object, commands: object) -> object:
        if session is not drop.session and next(counted) == calls + 1:
            server.restart()
        return pipeline(session, commands)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(drop.session.__class__, "pipeline", lose)
        with pytest.raises(GateUnavailable):
            run(drop, number)
    drop.reconnect()
    assert register.read(drop.session, number).epoch is None
    run_alone(drop, number)
    check_mixed_drop(drop, number, holes={4: None, 6: None})


def test_campaign_that_cannot_be_rebuilt_keeps_no_other_gate_shut(drop: Recovery) -> None:
    stuck, well = drop.open_campaign(), drop.open_campaign()
    assert stuck != well
    with drop.connect() as locker:
        locker.execute("SELECT FROM campaigns WHERE campaign_id = %s FOR KEY SHARE", (stuck,))
        with pytest.raises(DatabaseUnavailable):
            run(drop, stuck, well)
    assert register.read(drop.session, well).epoch == 2
    assert register.read(drop.session, stuck).epoch is None
    assert run(drop, stuck) == 1


def test_rebuild_whose_process_has_stopped_makes_room_for_another(
    drop: Recovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_module, "STUCK_SECONDS", 0.3)
    number, is_stuck, go_on = drop.open_campaign(epoch=0), Event(), Event()
    faults: list[BaseException] = []

    def stick(step: str) -> None:
        if "gate shut" in step:
            is_stuck.set()
            assert go_on.wait(20)

    def first() -> None:
        try:
            run(drop, number, progress=stick)
        except DatabaseUnavailable as fault:
            faults.append(fault)

    thread = Thread(target=first)
    thread.start()
    assert is_stuck.wait(10)
    deadline = time.monotonic() + 10
    while not run(drop, number):
        assert time.monotonic() < deadline
    go_on.set()
    thread.join()
    assert len(faults) == 1
    assert register.read(drop.session, number).epoch == 1
    assert drop.admit(number, "ann") == [place(1, ADMITTED)]


def run_alone(drop: Recovery, number: CampaignId) -> None:
    """Rebuild once the session of the one before is gone; the server ends it in its own time."""
    eventually("the gate is made anew", lambda: run(drop, number), lambda opened: opened == 1, 10)
