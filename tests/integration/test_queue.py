"""The engine `queue` on real engines: the journal is the log, and a group of recorders reads it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firstcome import postgres
from firstcome.errors import DatabaseUnavailable
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate import keys
from firstcome.gate.journal import RECORDERS
from firstcome.gate.session import GateSession
from firstcome.issuance import queue
from firstcome.issuance.queue import JournalLog, QueueRecording
from firstcome.issuance.settling import Settling
from firstcome.model import CampaignId, Engine
from firstcome.settings import Settings
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration

ISSUED = 1


class Members:
    """The recorders of one test."""

    def __init__(self, drop: Recovery) -> None:
        self._drop = drop
        self._made: list[QueueRecording] = []

    def new(self, connect: Callable[[], postgres.Connection] | None = None) -> QueueRecording:
        """Return another recorder; `connect` opens its sessions."""
        opens = connect or self._drop.connect
        open_session = self.open_session
        recorder = self._drop.recorder()
        recorder._connect = opens
        member = f"member-{len(self._made)}"
        made = QueueRecording(
            self._drop.settings.recorder,
            self._drop.connect,
            open_session,
            recorder,
            Settling(open_session),
            member,
        )
        self._made.append(made)
        return made

    def open_session(self) -> GateSession:
        """Connect to Redis."""
        return GateSession.open(self._drop.settings.redis)

    def close(self) -> None:
        """End every session."""
        for each in self._made:
            each.close()


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    """A drop of this test alone."""
    recovery = Recovery(scaled(settings))
    yield recovery
    recovery.close()


@pytest.fixture
def members(drop: Recovery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Members]:
    """Recorders that look around at each turn."""
    monkeypatch.setattr(queue, "LOOK_SECONDS", 0.0)
    made = Members(drop)
    yield made
    made.close()


def opened(drop: Recovery) -> CampaignId:
    return drop.open_campaign(engine=Engine.QUEUE)


def pending(drop: Recovery, number: CampaignId) -> int:
    """Return how many entries were given to somebody and not acknowledged."""
    name = keys.journal(number, drop.campaign(number).epoch)
    found: Any = drop.session.call("XPENDING", name, RECORDERS)
    return int(found[0])


def work(recording: QueueRecording, turns: int = 3) -> int:
    """Let a recorder work; return how many claims it has issued."""
    return sum(recording.run_once().issued for _ in range(turns))


def test_claims_become_rows_and_settled_bits_and_are_acknowledged(
    drop: Recovery, members: Members
) -> None:
    number, other = opened(drop), opened(drop)
    drop.admit(number, "ann", "bob", attempt=7)
    drop.admit(number, "eve")
    drop.admit(other, "ann")
    assert work(members.new()) == 4
    assert drop.rows(number) == {1: ("ann", "ISSUED"), 2: ("bob", "ISSUED"), 3: ("eve", "ISSUED")}
    assert drop.rows(other) == {1: ("ann", "ISSUED")}
    assert drop.settled(number) == dict.fromkeys((1, 2, 3), ISSUED)
    assert pending(drop, number) == pending(drop, other) == 0
    sweeper = drop.sweeper()
    sweeper.run_once()
    sweeper.close()
    assert drop.journal(number) == 0


def test_campaigns_of_the_log_are_left_alone(drop: Recovery, members: Members) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann")
    assert work(members.new()) == 0


def test_each_entry_goes_to_one_member(drop: Recovery, members: Members) -> None:
    number = opened(drop)
    first, second = members.new(), members.new()
    issued = [0, 0]
    for turn in range(20):
        drop.admit(number, f"user-{turn}")
        issued[turn % 2] += work((first, second)[turn % 2], 1)
    issued[0] += work(first)
    assert sum(issued) == 20
    assert min(issued) > 0


def test_what_a_dead_member_had_is_claimed_by_another(
    drop: Recovery, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = opened(drop)

    def refuse() -> postgres.Connection:
        raise DatabaseUnavailable("planted")

    dead = members.new(refuse)
    drop.admit(number, "ann", "bob")
    assert work(dead) == 0
    assert pending(drop, number) == 1
    other = members.new()
    assert work(other) == 0
    monkeypatch.setattr(queue, "ABANDONED_SECONDS", 0.001)
    assert work(other) == 2
    assert pending(drop, number) == 0
    assert work(dead) == 0


def test_entries_are_held_while_the_database_is_away(drop: Recovery, members: Members) -> None:
    number = opened(drop)
    is_away = True

    def connect() -> postgres.Connection:
        if is_away:
            raise DatabaseUnavailable("planted")
        return drop.connect()

    recording = members.new(connect)
    drop.admit(number, "ann")
    assert work(recording) == 0
    is_away = False
    assert work(recording, 1) == 1
    assert pending(drop, number) == 0


def test_session_with_redis_that_breaks_costs_nothing(drop: Recovery, members: Members) -> None:
    number = opened(drop)
    recording = members.new()
    drop.admit(number, "ann")
    assert work(recording) == 1
    drop.session.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    drop.admit(number, "bob")
    assert work(recording) == 1
    assert drop.rows(number)[2] == ("bob", "ISSUED")


def test_rebuild_reads_the_journal_and_asks_no_log(
    drop: Recovery, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LogAdmin, "log_ends", lambda _: pytest.fail("the log was asked"))
    number = opened(drop)
    recording = members.new()
    drop.admit(number, "ann")
    assert work(recording) == 1
    drop.admit(number, "bob", "eve")
    assert drop.rebuild().run_once([drop.campaign(number)]) == 1
    assert drop.campaign(number).epoch == 2
    assert drop.rows(number)[3] == ("eve", "ISSUED")
    drop.admit(number, "zoe")
    assert work(recording) == 1
    assert drop.rows(number)[4] == ("zoe", "ISSUED")


def test_sweeper_goes_by_age_alone(drop: Recovery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogAdmin, "log_ends", lambda _: pytest.fail("the log was asked"))
    number = opened(drop)
    drop.admit(number, "ann")
    sweeper = drop.sweeper()
    deadline = time.monotonic() + 10
    while not sweeper.run_once().recorded:
        assert time.monotonic() < deadline
    sweeper.close()
    assert drop.rows(number) == {1: ("ann", "ISSUED")}


async def test_journal_acknowledges_after_the_append_has_returned() -> None:
    heard: list[bool] = []
    JournalLog().append(b"", heard.append)
    assert heard == []
    await asyncio.sleep(0)
    assert heard == [True]
