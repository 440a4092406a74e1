"""A gate made anew: nobody who was promised is forgotten, nobody is admitted twice."""

import time
from collections.abc import Iterator
from threading import Thread

import pytest

from firstcome import rebuild as rebuild_module
from firstcome.errors import LogUnavailable
from firstcome.gate import keys, register
from firstcome.gate.session import GateSession
from firstcome.model import Verdict
from firstcome.settings import RedisSettings, Settings
from tests.integration.claimed import batch
from tests.integration.gate_stage import OwnRedis, own_redis
from tests.integration.rebuild_stage import (
    ADMITTED,
    DUPLICATE,
    GRACE,
    ISSUED,
    REPLAYED,
    D,
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


def test_first_load_opens_a_gate_at_once(drop: Recovery) -> None:
    number = drop.open_campaign(epoch=0, limit=120)
    drop.append(number, 1, [])  # recorders have something to do, and are not waited for
    steps: list[str] = []
    assert run(drop, number, progress=steps.append) == 1
    assert not [step for step in steps if "waiting" in step]
    gate = register.read(drop.session, number)
    assert gate == (1, keys.epoch_field(1, drop.session.run_id), 2, 3, 0, 120)
    assert drop.admit(number, "ann") == [place(1, ADMITTED)]


def test_wiped_redis_is_rebuilt_from_the_rows(drop: Recovery, server: OwnRedis) -> None:
    number = mixed_drop(drop)
    server.restart(wiped=True)
    drop.reconnect()
    assert run(drop, number) == 1
    # Positions 8 and 9 are beyond the last row or recorded: only holes below it are given up.
    check_mixed_drop(drop, number, holes={4: None, 6: None})


def test_restarted_redis_gives_its_journal_first(drop: Recovery, server: OwnRedis) -> None:
    number = mixed_drop(drop)
    drop.session.call("WAITAOF", 1, 0, 5000)
    server.restart()
    drop.reconnect()
    assert run(drop, number) == 1
    rows = drop.rows(number)
    assert {n: rows[n] for n in (4, 6, 9)} == {
        4: ("hole", "ISSUED"),
        6: ("lost", "ISSUED"),
        9: ("late", "ISSUED"),
    }
    assert drop.admit(number, "lost", attempt=7) == [place(6, REPLAYED, ISSUED)]
    check_mixed_drop(drop, number, holes={})


def test_late_record_of_an_ended_epoch_becomes_no_row(drop: Recovery, server: OwnRedis) -> None:
    number = mixed_drop(drop)
    server.restart(wiped=True)
    drop.reconnect()
    run(drop, number)
    before = drop.rows(number)
    recorder = drop.recorder()
    recorded = recorder.record([batch(number, 4, ["hole"]), batch(number, 9, ["late"])])
    assert (recorded.fenced, recorded.issued, recorded.dead_lettered) == (1, 0, 0)
    assert drop.rows(number) == before
    assert drop.admit(number, "late", "hole") == [place(9, ADMITTED), place(10, ADMITTED)]


def test_rebuild_waits_for_answers_and_recorders(drop: Recovery, server: OwnRedis) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann", "bob")
    drop.append(number, 1, ["ann", "bob"])
    server.restart(wiped=True)
    drop.reconnect()
    steps: list[str] = []
    began = time.time()
    thread = Thread(target=lambda: run(drop, number, progress=steps.append))
    thread.start()
    while "waiting for recorders to reach the end of the log" not in steps:
        assert thread.is_alive()
        time.sleep(0.005)
    assert time.time() - began >= D + GRACE - 0.05
    gate = register.read(drop.session, number)
    assert gate.field.startswith(register.SHUT)
    assert drop.rows(number) == {}
    drop.record_log()
    thread.join()
    assert drop.rows(number) == {1: ("ann", "ISSUED"), 2: ("bob", "ISSUED")}
    assert drop.admit(number, "ann", "eve") == [place(1, DUPLICATE, ISSUED), place(3, ADMITTED)]


@pytest.mark.parametrize("how", ["flushed", "its key deleted", "open", "of a replica"])
def test_rebuild_waits_for_answers_of_a_gate_that_was_open_just_now(
    drop: Recovery, server: OwnRedis, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    number = drop.open_campaign()
    opened = GateSession.open

    def long_up(of: RedisSettings) -> GateSession:
        session = opened(of)
        session.uptime_seconds = 3600
        return session

    monkeypatch.setattr(GateSession, "open", long_up)
    if how == "flushed":
        drop.session.call("FLUSHALL")
    elif how == "its key deleted":
        drop.session.call("DEL", keys.gate(number))
    elif how == "of a replica":
        # Promoted: it carries the gate of a master that admitted until a moment ago.
        drop.session.call("HSET", keys.gate(number), "epoch", keys.epoch_field(1, "0" * 40))
        drop.session.call("REPLICAOF", "127.0.0.1", "1")
        drop.session.call("REPLICAOF", "NO", "ONE")
    began = time.monotonic()
    assert run(drop, number) == 1
    assert time.monotonic() - began >= D + GRACE
    if how == "of a replica":
        server.restart(wiped=True)  # forgets that it was one
        drop.reconnect()


def test_rebuild_does_not_wait_for_answers_of_a_life_that_is_long_over(
    drop: Recovery, server: OwnRedis
) -> None:
    number = drop.open_campaign()
    drop.session.call("WAITAOF", 1, 0, 5000)
    server.restart()
    time.sleep(1.1)  # the server counts its age in whole seconds
    drop.reconnect()
    assert drop.session.uptime_seconds >= 1
    steps: list[str] = []
    assert run(drop, number, progress=steps.append) == 1
    assert not [step for step in steps if "for answers" in step]


def test_gate_stays_shut_when_recorders_do_not_come(
    drop: Recovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = drop.open_campaign()
    drop.append(number, 1, ["ann"])
    slow = drop.settings.rebuild.model_copy(update={"recorders_timeout_seconds": 0.2})
    drop.settings = drop.settings.model_copy(update={"rebuild": slow})
    for _ in range(2):
        with pytest.raises(LogUnavailable, match="gate stays shut"):
            run(drop, number)
        assert register.read(drop.session, number).epoch is None
        assert drop.campaign(number).epoch == 1
    drop.record_log()
    assert run(drop, number) == 1
    assert drop.rows(number) == {1: ("ann", "ISSUED")}


def test_rebuild_clears_what_a_forgotten_database_left_under_its_numbers(drop: Recovery) -> None:
    number = drop.open_campaign(epoch=0)
    names = [f"{keys.users_prefix(number, 1)}{bucket}" for bucket in range(20)]
    drop.session.pipeline([("HSET", name, "ann", 77) for name in names])
    drop.session.call("XADD", keys.journal(number, 1), "500-0", "u", "ann", "a", "", "t", "1")
    drop.session.call("SET", keys.settled(number, 1), b"\xff" * 100)
    run(drop, number)
    assert drop.admit(number, "ann") == [place(1, ADMITTED)]
    assert drop.settled(number) == {}


def test_rebuild_of_many_rows_is_quick(drop: Recovery, capsys: pytest.CaptureFixture[str]) -> None:
    rows = 200_000
    number = drop.open_campaign(limit=rows)
    drop.database.execute(
        "INSERT INTO issuances (campaign_id, position, epoch, status, user_id)"
        " SELECT %s, n, 1, 'ISSUED', 'user-' || n FROM generate_series(1, %s) AS n",
        (number, rows),
    )
    began = time.monotonic()
    assert run(drop, number) == 1
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\n{rows} rows rebuilt in {took:.2f} s")
    assert took < 12  # a million in a minute
    assert drop.admit(number, "user-77", "stranger") == [place(77, DUPLICATE, 1), Verdict.SOLD_OUT]
