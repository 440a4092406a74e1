"""The order of a rebuild's steps, a rebuild that ends at each of them, and who slept through it."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from firstcome import failpoints, postgres
from firstcome import rebuild as rebuild_module
from firstcome.bench.stack import FIRSTCOME
from firstcome.drill.eventually import eventually
from firstcome.errors import DatabaseUnavailable, Unavailable
from firstcome.gate import keys, register
from firstcome.settings import Settings
from tests.integration.claimed import batch
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

STEPS = [point for point, where in failpoints.POINTS.items() if where.startswith("rebuild:")]
OPEN = ("after_switch", "after_unlink")


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
    recovery = Recovery(
        scaled(
            settings,
            redis={"url": server.settings.url, "call_timeout_seconds": 0.15},
            postgres={"transaction_timeout_seconds": 1.0},
            rebuild={"lock_timeout_seconds": 3.0},
        )
    )
    yield recovery
    recovery.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where failpoints are armed; they are off again at the end."""
    yield tmp_path
    failpoints.watch(None, "")


def passing(monkeypatch: pytest.MonkeyPatch, look: Callable[[str], None]) -> None:
    """Call `look` at every failpoint that is passed."""
    monkeypatch.setattr(failpoints, "hit", lambda point, lost: look(point))


def test_rebuild_takes_its_steps_in_their_order(
    drop: Recovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = mixed_drop(drop)
    drop.append(number, 9, ["late"])
    seen: dict[str, tuple[bool, int, bool, bool]] = {}

    def look(point: str) -> None:
        if point == "after_wait":
            drop.record_log()
        if point not in STEPS:
            return
        gate = register.read(drop.session, number)
        old, new = (
            drop.session.call("EXISTS", keys.settled(number, epoch)) == 1 for epoch in (1, 2)
        )
        seen[point] = gate.epoch == 2, drop.campaign(number).epoch, old, new

    drop.session.settle(number, 1, [(1, 1, 1)])
    passing(monkeypatch, look)
    assert run(drop, number) == 1
    before = (False, 1, True, False)
    assert list(seen.items()) == [
        ("after_shut", before),
        ("after_wait", before),
        ("after_drain", before),
        ("after_survivors", before),
        ("before_epoch", before),  # not committed: nobody else sees the next epoch yet
        ("after_epoch", (False, 2, True, False)),
        ("before_switch", (False, 2, True, True)),
        ("after_switch", (True, 2, True, True)),
        ("after_unlink", (True, 2, False, True)),
    ]


def rebuilds_at_work(drop: Recovery) -> int:
    """Return how many sessions of rebuilds this database has: each may still hold its lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'firstcome-rebuild'"
    )
    with closing(drop.connect()) as session, postgres.transaction(session) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


@pytest.mark.parametrize("step", STEPS)
def test_rebuild_that_is_killed_at_a_step_is_finished_by_the_next(
    drop: Recovery, server: OwnRedis, folder: Path, step: str
) -> None:
    number = mixed_drop(drop)
    drop.session.call("WAITAOF", 1, 0, 5000)
    server.restart()
    drop.reconnect()
    failpoints.arm(folder, step, "kill")
    dying = subprocess.run(
        [*FIRSTCOME, "rebuild", str(number)],
        env=environment(drop.settings) | {"FIRSTCOME_FAILPOINTS__FOLDER": str(folder)},
        cwd=folder,
        capture_output=True,
        timeout=60,
    )
    assert dying.returncode == -signal.SIGKILL, dying.stderr
    assert [proof.name.partition(".")[0] for proof in failpoints.taken(folder)] == [step]
    assert (register.read(drop.session, number).epoch is not None) is (step in OPEN)
    eventually("the dead one's session is over", lambda: rebuilds_at_work(drop), lambda at: at == 0)
    assert run(drop, number) == 1
    check_mixed_drop(drop, number, holes={})


@pytest.mark.parametrize("step", STEPS)
def test_rebuild_that_loses_the_reply_of_a_step_is_finished_by_the_next(
    drop: Recovery, server: OwnRedis, folder: Path, step: str
) -> None:
    number = mixed_drop(drop)
    server.restart(wiped=True)
    drop.reconnect()
    failpoints.arm(folder, step, "drop")
    failpoints.watch(folder, "rebuild")
    with pytest.raises(Unavailable):
        run(drop, number)
    assert failpoints.taken(folder)
    assert (register.read(drop.session, number).epoch is not None) is (step in OPEN)
    assert run(drop, number) == 1
    check_mixed_drop(drop, number, holes={4: None, 6: None})


def test_recorder_that_stands_still_with_its_locks_delays_a_rebuild_and_is_fenced(
    drop: Recovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = drop.open_campaign(limit=5)
    drop.admit(number, "ann", "bob")
    drop.session.call("DEL", keys.journal(number, 1))  # else the rebuild would record it first
    holds_the_lock, wakes = Event(), Event()
    sleeper: list[Thread] = []

    def stand_still(point: str) -> None:
        if point == "after_epochs" and not holds_the_lock.is_set():
            holds_the_lock.set()
            assert wakes.wait(20)

    faults: list[BaseException] = []

    def record() -> None:
        try:
            drop.recorder().record([batch(number, 1, ["ann", "bob"])])
        except DatabaseUnavailable as fault:
            faults.append(fault)

    passing(monkeypatch, stand_still)
    sleeper.append(Thread(target=record))
    sleeper[0].start()
    assert holds_the_lock.wait(10)
    # In one try: PostgreSQL ends the sleeper's transaction before the rebuild's patience ends.
    assert run(drop, number) == 1
    assert drop.campaign(number).epoch == 2
    wakes.set()
    sleeper[0].join()
    assert len(faults) == 1
    recorded = drop.recorder().record([batch(number, 1, ["ann", "bob"])])
    assert (recorded.fenced, recorded.issued) == (2, 0)
    assert drop.rows(number) == {}
    assert drop.admit(number, "bob") == [place(1, ADMITTED)]


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that lead a process to the engines of this test."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("FIRSTCOME_")}
    return outside | {
        "FIRSTCOME_CONFIG": os.devnull,
        "FIRSTCOME_POSTGRES__URL": settings.postgres.url.get_secret_value(),
        "FIRSTCOME_POSTGRES__TRANSACTION_TIMEOUT_SECONDS": "1",
        "FIRSTCOME_REBUILD__LOCK_TIMEOUT_SECONDS": "3",
        "FIRSTCOME_REDIS__URL": settings.redis.url.get_secret_value(),
        "FIRSTCOME_REDIS__CALL_TIMEOUT_SECONDS": "0.15",
        "FIRSTCOME_INTAKE__ANSWER_DEADLINE_SECONDS": "0.2",
        "FIRSTCOME_INTAKE__AWAY_AFTER_SECONDS": "0.1",
        "FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "FIRSTCOME_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "FIRSTCOME_KAFKA__GROUP_ID": settings.kafka.group_id,
    }
