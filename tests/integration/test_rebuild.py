"""A gate made anew: nobody who was promised is forgotten, nobody is admitted twice."""

import time
from collections.abc import Iterator
from itertools import count
from threading import Event, Thread

import pytest

from firstcome import rebuild as rebuild_module
from firstcome.errors import DatabaseUnavailable, GateUnavailable, LogUnavailable
from firstcome.gate import keys, register
from firstcome.gate.register import Loader
from firstcome.model import CampaignId, Verdict
from firstcome.settings import Settings
from tests.integration.claimed import batch
from tests.integration.gate_stage import OwnRedis, own_redis
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration

ADMITTED, REPLAYED, DUPLICATE = Verdict.ADMITTED, Verdict.REPLAYED, Verdict.DUPLICATE
ISSUED, UNDER_REVIEW, CANCELLED = 1, 2, 3
D, GRACE = 0.2, 0.1


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


def run(drop: Recovery, *numbers: CampaignId, **how: object) -> int:
    """Rebuild these campaigns' gates."""
    rebuild = drop.rebuild(**how)  # type: ignore[arg-type]
    return rebuild.run_once([drop.campaign(number) for number in numbers])


def place(position: int, verdict: Verdict, settled: int = 0) -> int:
    """Return admit.lua's reply."""
    return position * 32 + settled * 8 + verdict


def mixed_drop(drop: Recovery) -> CampaignId:
    """Make a campaign with rows of every kind and with places that nobody recorded: 4, 6, 9."""
    number = drop.open_campaign(limit=10)
    drop.admit(number, "ann", "bob", "eve", "hole", "dan", "lost", attempt=7)
    drop.admit(number, "fay", "gus", "late")
    drop.add_row(number, 1, "ann", attempt=7)
    drop.add_row(number, 2, "bob", "UNDER_REVIEW", attempt=7)
    drop.add_row(number, 3, "eve", "DUPLICATE")
    drop.add_row(number, 5, "dan")
    drop.add_row(number, 7, "fay")
    drop.add_row(number, 8, "gus", "NOT_APPENDED")
    # Two cancelled so far, and the limit was raised with each.
    drop.database.execute(
        "UPDATE campaigns SET position_limit = 12 WHERE campaign_id = %s", (number,)
    )
    return number


def check_mixed_drop(drop: Recovery, number: CampaignId, *, holes: dict[int, str | None]) -> None:
    """See that rows, gate and users agree in the new epoch."""
    now = drop.campaign(number)
    rows = drop.rows(number)
    assert {n: row for n, row in rows.items() if row[1] == "HOLE"} == {
        n: (user, "HOLE") for n, user in holes.items()
    }
    assert now.position_limit == 12 + len(holes)
    codes = {"ISSUED": ISSUED, "UNDER_REVIEW": UNDER_REVIEW}
    assert drop.settled(number) == {n: codes.get(row[1], CANCELLED) for n, row in rows.items()}
    gate = register.read(drop.session, number)
    assert (gate.epoch, gate.version) == (now.epoch, now.version)
    assert (gate.position_last, gate.position_limit) == (max(rows), now.position_limit)
    assert drop.admit(number, "ann", "bob", attempt=7) == [
        place(1, REPLAYED, ISSUED),
        place(2, REPLAYED, UNDER_REVIEW),
    ]
    last = max(rows)
    assert drop.admit(number, "fay", "ann", "eve", "gus") == [
        place(7, DUPLICATE, ISSUED),
        place(1, DUPLICATE, ISSUED),
        place(last + 1, ADMITTED),
        place(last + 2, ADMITTED),
    ]
    ended = range(1, now.epoch)
    for epoch in ended:
        assert drop.session.call("KEYS", f"fc:{{{number}}}:{epoch}:*") == []


def test_first_load_opens_a_gate_at_once(drop: Recovery) -> None:
    number = drop.open_campaign(epoch=0, limit=120)
    drop.append(number, 1, [])  # recorders have something to do, and are not waited for
    began = time.monotonic()
    assert run(drop, number) == 1
    assert time.monotonic() - began < D
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
    monkeypatch.setattr("firstcome.gate.session.GateSession.uptime_seconds", 3600, raising=False)
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
    began = time.monotonic()
    assert run(drop, number) == 1
    assert time.monotonic() - began < D + GRACE


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
    assert run(drop, number, other) == 0
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


def test_stop_interrupts_a_rebuild(drop: Recovery) -> None:
    number, stop = drop.open_campaign(), Event()
    drop.append(number, 1, ["ann"])  # nobody will record it

    def stop_soon(step: str) -> None:
        if step.startswith("waiting for recorders"):
            stop.set()

    began = time.monotonic()
    assert run(drop, number, stop=stop, progress=stop_soon) == 0
    assert time.monotonic() - began < 5
    assert register.read(drop.session, number).epoch is None
    drop.record_log()
    assert run(drop, number) == 1


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
    assert run(drop, number) == 1
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
    assert run(drop, number) == 1
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
