"""The sweeper finishes what the path has dropped: late enough, once, and whatever else fails."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from firstcome.campaigns import Campaigns
from firstcome.errors import GateUnavailable, LogUnavailable, RecordingStopped
from firstcome.eventlog.admin import LogAdmin, Offsets
from firstcome.gate import keys, register
from firstcome.gate.session import GateSession
from firstcome.issuance.cancellation import Cancellation, Reason, cancel
from firstcome.issuance.rebuilder import Rebuilder
from firstcome.issuance.sweeper import Sweeper, Swept
from firstcome.model import Campaign, CampaignId, CampaignState, Verdict
from firstcome.settings import Settings
from running import eventually
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration

DUE = 0.3
HELD = Verdict.DUPLICATE


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    """A drop of this test alone."""
    recovery = Recovery(scaled(settings))
    yield recovery
    recovery.close()


def sweep(sweeper: Sweeper, until: Callable[[Swept], bool], seconds: float = 10.0) -> Swept:
    """Sweep until a tick has done something; return the sum of all."""
    deadline, total = time.monotonic() + seconds, Swept()
    while not until(total):
        assert time.monotonic() < deadline, total
        total = Swept(*map(sum, zip(total, sweeper.run_once(), strict=True)))
    return total


def ticks(sweeper: Sweeper, seconds: float) -> Swept:
    """Sweep for some time; return the sum of all."""
    until = time.monotonic() + seconds
    return sweep(sweeper, lambda _: time.monotonic() > until)


def issued(*users: str) -> dict[int, tuple[str | None, str]]:
    """Return the rows of users who all got one, from position 1."""
    return {position: (user, "ISSUED") for position, user in enumerate(users, 1)}


def test_sweeper_records_claims_that_never_reached_the_log_once_they_are_due(
    drop: Recovery,
) -> None:
    number, other = drop.open_campaign(), drop.open_campaign()
    sweeper = drop.sweeper()
    sweeper.run_once()
    drop.admit(number, "ann", "bob", attempt=5)
    drop.admit(other, "eve")
    admitted = time.monotonic()
    assert sweep(sweeper, lambda swept: swept.recorded >= 3).recorded == 3
    assert time.monotonic() - admitted >= DUE
    assert drop.rows(number) == issued("ann", "bob")
    assert drop.rows(other) == issued("eve")
    assert drop.settled(number) == {1: 1, 2: 1}
    sweep(sweeper, lambda _: drop.journal(number) == drop.journal(other) == 0)
    assert drop.admit(number, "bob", attempt=5) == [2 * 32 + 8 + Verdict.REPLAYED]
    sweeper.close()


def test_sweeper_waits_for_recorders_that_have_not_come_so_far(drop: Recovery) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann")
    drop.append(number, 1, [])  # something for recorders to do
    sweeper = drop.sweeper()
    assert ticks(sweeper, DUE + 0.5).recorded == 0
    drop.record_log()
    assert sweep(sweeper, lambda swept: swept.recorded == 1).recorded == 1
    assert drop.rows(number) == issued("ann")
    sweeper.close()


def test_sweeper_reads_the_logs_end_only_after_the_journals(drop: Recovery) -> None:
    """Who was admitted while the end was being read may still be on his way to the log."""
    number = drop.open_campaign()
    drop.admit(number, "ann")

    class Busy(LogAdmin):
        def log_ends(self) -> Offsets:
            drop.admit(number, f"late-{time.monotonic()}")
            return super().log_ends()

    sweeper = drop.sweeper(log=Busy(drop.settings.kafka))
    sweeper.run_once()
    time.sleep(DUE)
    assert sweeper.run_once().recorded == 1
    assert drop.rows(number) == issued("ann")
    sweeper.close()


def test_sweeper_goes_by_age_alone_while_the_log_is_unreadable(drop: Recovery) -> None:
    nowhere = drop.settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:9"})
    number = drop.open_campaign()
    drop.admit(number, "ann")
    sweeper = drop.sweeper(log=LogAdmin(nowhere, timeout_seconds=0.05))
    began = time.monotonic()
    sweep(sweeper, lambda swept: swept.recorded > 0)
    assert time.monotonic() - began >= DUE
    assert drop.rows(number) == issued("ann")
    sweeper.close()


def test_sweeper_settles_what_a_recorder_did_not(drop: Recovery) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann", "bob", "eve")
    drop.append(number, 1, ["ann", "bob", "eve"])
    drop.record_log()
    assert drop.rows(number) == issued("ann", "bob", "eve")
    assert drop.settled(number) == {}
    sweeper = drop.sweeper()
    sweep(sweeper, lambda swept: swept.trimmed == 1)
    assert drop.settled(number) == {1: 1, 2: 1, 3: 1}
    assert drop.rows(number) == issued("ann", "bob", "eve")
    sweeper.close()


def test_sweeper_records_a_bounded_number_of_claims_a_tick(settings: Settings) -> None:
    drop = Recovery(scaled(settings, sweeper={"claims_max": 100}))
    number = drop.open_campaign()
    for batch in range(12):
        drop.admit(number, *(f"user-{batch * 30 + n}" for n in range(30)))
    sweeper, seen = drop.sweeper(), list[int]()
    deadline = time.monotonic() + 10
    while drop.journal(number) and time.monotonic() < deadline:
        seen.append(sweeper.run_once().recorded)
    assert drop.rows(number) == issued(*(f"user-{n}" for n in range(360)))
    assert 0 < max(seen) <= 120
    sweeper.close()
    drop.close()


def test_sweeper_mirrors_what_operators_decide(drop: Recovery) -> None:
    number = drop.open_campaign(limit=1)
    sweeper, campaigns = drop.sweeper(), Campaigns(drop.connect)
    campaigns.pause(number, "me")
    assert sweeper.run_once().mirrored == 1
    assert drop.admit(number, "ann") == [Verdict.PAUSED]
    assert sweeper.run_once().mirrored == 0
    campaigns.restock(number, 1, "me")
    campaigns.resume(number, "me")
    assert sweeper.run_once().mirrored == 1
    taken = [1 * 32 + Verdict.ADMITTED, 2 * 32 + Verdict.ADMITTED, Verdict.SOLD_OUT]
    assert drop.admit(number, "ann", "bob", "eve") == taken
    campaigns.close(number, "me")
    assert sweeper.run_once().mirrored == 1
    assert drop.admit(number, "eve", "ann") == [Verdict.CLOSED, 1 * 32 + HELD]
    sweeper.close()


def test_sweeper_releases_the_users_of_cancelled_places(drop: Recovery) -> None:
    number = drop.open_campaign(limit=2)
    drop.admit(number, "ann", "bob")
    with drop.database.transaction():
        gone = Cancellation(number, 1, [1], ["ann"], Reason.NOT_APPENDED)
        assert cancel(drop.database, gone) == [1]
    sweeper = drop.sweeper()
    assert drop.admit(number, "ann", "eve") == [1 * 32 + HELD, Verdict.SOLD_OUT]
    assert sweeper.run_once().mirrored == 1
    assert drop.settled(number) == {1: 3}
    assert drop.admit(number, "eve", "ann") == [3 * 32 + Verdict.ADMITTED, Verdict.SOLD_OUT]
    # What was cancelled is never issued, however late its claim is swept.
    sweep(sweeper, lambda swept: swept.recorded >= 3)
    assert drop.rows(number) == {
        1: ("ann", "NOT_APPENDED"),
        2: ("bob", "ISSUED"),
        3: ("eve", "ISSUED"),
    }
    sweeper.close()


def test_two_sweepers_do_no_harm(drop: Recovery) -> None:
    number = drop.open_campaign()
    users = [f"user-{n}" for n in range(600)]
    sweepers = [drop.sweeper(), drop.sweeper()]
    stop, faults = threading.Event(), list[BaseException]()

    def run(sweeper: Sweeper) -> None:
        try:
            sweeper.run(stop)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(sweeper,)) for sweeper in sweepers]
    for thread in threads:
        thread.start()
    for start in range(0, 600, 20):
        drop.admit(number, *users[start : start + 20])
    deadline = time.monotonic() + 15
    while drop.journal(number) and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults
    assert drop.rows(number) == issued(*users)
    announced = drop.database.execute(
        "SELECT sum(upper(r) - lower(r)) FROM outbox, unnest(positions) AS r"
    ).fetchone()
    assert announced == (600,)


def _away(_: Sequence[Campaign]) -> int:
    raise LogUnavailable("planted")


def _stopped(_: Sequence[Campaign]) -> int:
    raise RecordingStopped("planted")


@pytest.mark.parametrize("rebuild", [_away, _stopped])
def test_healthy_campaigns_do_not_feel_a_rebuild_that_fails(
    drop: Recovery, rebuild: Callable[[Sequence[Campaign]], int]
) -> None:
    healthy, ill = drop.open_campaign(), drop.open_campaign()
    register.shut(drop.session, ill, "shut:1:token")
    drop.admit(healthy, "ann")
    Campaigns(drop.connect).pause(healthy, "me")
    sweeper = drop.sweeper(rebuild=rebuild)
    deadline = time.monotonic() + 10
    while not drop.rows(healthy) and time.monotonic() < deadline:
        sweeper.run_once()
    assert drop.rows(healthy) == issued("ann")
    assert drop.admit(healthy, "eve") == [Verdict.PAUSED]
    sweeper.close()


def test_healthy_campaigns_do_not_wait_for_a_rebuild(drop: Recovery) -> None:
    """It waits for recorders, which are behind; nobody else does."""
    healthy, ill = drop.open_campaign(), drop.open_campaign()
    drop.append(ill, 1, ["eve"])
    register.shut(drop.session, ill, "shut:1:token")
    steps: list[str] = []
    rebuild = drop.rebuild(log=LogAdmin(drop.settings.kafka), progress=steps.append)
    rebuilder = Rebuilder(lambda: partial(rebuild.run_once, only_stale=True))
    sweeper = drop.sweeper(rebuild=rebuilder.begin)
    sweeper.run_once()
    eventually("a rebuild that waits", lambda: "waiting for recorders" in " ".join(steps))
    drop.admit(healthy, "ann")
    Campaigns(drop.connect).pause(healthy, "me")
    sweep(sweeper, lambda swept: swept.mirrored > 0)
    assert drop.admit(healthy, "bob") == [Verdict.PAUSED]
    assert not rebuilder.wait(0)
    assert register.read(drop.session, ill).epoch is None

    drop.record_log()
    assert rebuilder.wait(10)
    assert register.read(drop.session, ill).epoch == 2
    assert drop.rows(ill) == issued("eve")
    sweeper.close()


def test_sweeper_has_those_gates_rebuilt_that_need_it(drop: Recovery) -> None:
    asked: list[set[CampaignId]] = []
    well, new = drop.open_campaign(), drop.open_campaign(epoch=0)
    shut, old, behind = (drop.open_campaign() for _ in range(3))
    outgrown = drop.open_campaign(limit=1000, buckets=10)
    gone, archived = drop.open_campaign(), drop.open_campaign(epoch=0)
    register.shut(drop.session, shut, "shut:1:token")
    drop.session.call("HSET", keys.gate(old), "epoch", keys.epoch_field(1, "0" * 40))
    drop.session.call("HSET", keys.gate(behind), "epoch", keys.epoch_field(2, drop.session.run_id))
    drop.session.call("DEL", keys.gate(gone))
    for number, change in ((outgrown, "position_limit = 1001, stock = 1001"), (well, "version=1")):
        drop.database.execute(
            f"UPDATE campaigns SET {change} WHERE campaign_id = {number}".encode()  # noqa: S608
        )
    drop.database.execute(
        "UPDATE campaigns SET state = %s WHERE campaign_id = %s", (CampaignState.ARCHIVED, archived)
    )

    def rebuild(campaigns: Sequence[Campaign]) -> int:
        asked.append({each.campaign_id for each in campaigns})
        return len(campaigns)

    sweeper = drop.sweeper(rebuild=rebuild)
    assert sweeper.run_once().rebuilt == 6
    assert asked == [{new, shut, old, behind, outgrown, gone}]
    sweeper.close()


def test_sweeper_goes_on_when_engines_come_back(drop: Recovery) -> None:
    number, is_away = drop.open_campaign(), True
    drop.admit(number, "ann")

    def open_session() -> GateSession:
        if is_away:
            raise GateUnavailable("planted")
        return GateSession.open(drop.settings.redis)

    sweeper = drop.sweeper(open_session=open_session)
    assert [sweeper.run_once() for _ in range(3)] == [Swept()] * 3
    is_away = False
    sweeper.run_once()
    assert sweeper._session is not None
    sweeper._session.call("CLIENT", "KILL", "ID", _own_id(sweeper._session), "SKIPME", "no")
    drop.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    sweep(sweeper, lambda swept: swept.recorded > 0)
    assert drop.rows(number) == issued("ann")
    sweeper.close()


def _own_id(session: GateSession) -> int:
    found = session.call("CLIENT", "ID")
    assert isinstance(found, int)
    return found


def test_sweeper_asks_how_a_rebuild_has_ended_also_when_no_gate_is_stale(drop: Recovery) -> None:
    asked: list[Sequence[Campaign]] = []

    def rebuild(campaigns: Sequence[Campaign]) -> int:
        asked.append(campaigns)
        return 0

    drop.open_campaign()
    sweeper = drop.sweeper(rebuild=rebuild)
    sweeper.run_once()
    assert asked == [[]]
    sweeper.close()
