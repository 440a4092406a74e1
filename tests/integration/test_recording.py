"""From a real log to a real database: offsets follow rows, and nothing is lost on the way."""

import threading
import time
from pathlib import Path

import pytest

from firstcome import failpoints, postgres
from firstcome.errors import DatabaseUnavailable, GateUnavailable
from firstcome.eventlog.events import encode
from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.issuance.settled import Settled
from firstcome.issuance.settling import Settling
from firstcome.metrics import catalogue
from firstcome.model import CampaignId
from firstcome.settings import Settings
from tests.integration.claimed import batch, dead_letters, open_campaign, rows
from tests.integration.recording_stage import TIMEOUT_SECONDS, Scene, work

pytestmark = pytest.mark.integration


@pytest.fixture
def scene(settings: Settings) -> Scene:
    """A log of this test alone."""
    return Scene(settings)


def test_recording_writes_rows_then_commits_offsets_then_settles(
    scene: Scene, connection: postgres.Connection
) -> None:
    number = open_campaign(connection)
    scene.append(
        encode(batch(number, 1, ["a", "b"]).event), b"", encode(batch(number, 3, ["c"]).event)
    )
    recording = scene.recording()
    work(recording, until=lambda: scene.admin.recorded_up_to()[0] == 3)
    assert [user for _, user, _ in rows(connection, number)] == ["a", "b", "c"]
    assert scene.settled == [{(number, 1): [(1, 3, 1)]}]
    recording.close()


def test_recording_opens_no_session_for_heartbeats(scene: Scene) -> None:
    def refuse() -> postgres.Connection:
        pytest.fail("a session was opened")

    scene.append(b"", b"")
    recording = scene.recording(refuse)
    work(recording, until=lambda: scene.admin.recorded_up_to()[0] == 2)
    recording.close()


def test_recording_sets_unreadable_records_aside_and_goes_on(
    scene: Scene, connection: postgres.Connection
) -> None:
    number = open_campaign(connection)
    scene.append(b"{", encode(batch(number, 1, ["a"]).event))
    recording = scene.recording()
    work(recording, until=lambda: scene.admin.recorded_up_to()[0] == 2)
    recording.close()
    assert dead_letters(connection) == [("UNDECODABLE", None, None, 0)]
    assert rows(connection, number) == [(1, "a", "ISSUED")]


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_recording_holds_its_records_while_the_database_is_away(
    scene: Scene, connection: postgres.Connection, protocol: str
) -> None:
    scene.settings = scene.settings.model_copy(
        update={
            "kafka": scene.settings.kafka.model_copy(update={"group_protocol": protocol}),
            "recorder": scene.settings.recorder.model_copy(update={"retry_pause_seconds_max": 0.2}),
        }
    )
    number = open_campaign(connection)
    is_away = True

    def connect() -> postgres.Connection:
        if is_away:
            raise DatabaseUnavailable("planted")
        return postgres.connect(scene.settings.postgres)

    held = catalogue.HELD.of("database_away")
    before = held.value
    scene.append(encode(batch(number, 1, ["a"]).event))
    recording = scene.recording(connect)
    work(recording, until=lambda: recording.records_held == 1)
    assert held.value == before + 1
    scene.append(encode(batch(number, 2, ["b"]).event), partition=1)
    until = time.monotonic() + 1.0
    work(recording, until=lambda: time.monotonic() > until)
    assert recording.records_held == 1
    assert len(recording.assigned) == 10
    assert scene.admin.recorded_up_to()[0] == 0
    is_away = False
    work(recording, until=lambda: scene.admin.lag() == 0)
    assert [user for _, user, _ in rows(connection, number)] == ["a", "b"]
    recording.close()


def test_recording_that_dies_before_its_commit_leaves_the_records_to_the_next(
    scene: Scene, connection: postgres.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = open_campaign(connection)
    scene.append(encode(batch(number, 1, ["a", "b"]).event))
    first = scene.recording()
    with monkeypatch.context() as patch:
        patch.setattr(first._consumer, "_commit", lambda _, **__: None)
        work(first, until=lambda: len(rows(connection, number)) == 2)
        first.close()
    assert scene.admin.recorded_up_to()[0] == 0
    second = scene.recording()
    work(second, until=lambda: scene.admin.lag() == 0)
    second.close()
    assert len(rows(connection, number)) == 2
    assert scene.settled == [{(number, 1): [(1, 2, 1)]}] * 2


def test_recording_commits_again_what_could_not_be_committed(
    scene: Scene, connection: postgres.Connection, tmp_path: Path
) -> None:
    """Nothing else arrives: only the recorder itself can bring the offset to the broker."""
    number = open_campaign(connection)
    scene.append(encode(batch(number, 1, ["a"]).event))
    failpoints.arm(tmp_path, "before_offsets", "drop")
    failpoints.watch(tmp_path, "recorder")
    recording = scene.recording()
    try:
        work(recording, until=lambda: bool(failpoints.taken(tmp_path)))
    finally:
        failpoints.watch(None, "recorder")
    work(recording, until=lambda: scene.admin.recorded_up_to()[0] == 1)
    recording.close()


def test_recording_sets_one_poison_record_aside_that_comes_alone(
    scene: Scene, connection: postgres.Connection
) -> None:
    number = open_campaign(connection)
    recording = scene.recording()
    poison = batch(number, 1, ["a"], requested_at=1e300)
    scene.append(encode(poison.event))
    work(recording, until=lambda: scene.admin.recorded_up_to()[0] == 1)
    assert rows(connection, number) == [(1, "a", "UNDER_REVIEW")]
    assert dead_letters(connection) == [("REJECTED", 1, "a", 0)]
    scene.append(encode(batch(number, 2, ["b"]).event))
    work(recording, until=lambda: scene.admin.recorded_up_to()[0] == 2)
    recording.close()
    assert rows(connection, number)[1] == (2, "b", "ISSUED")
    assert [each for each in scene.settled if each] == [
        {(number, 1): [(1, 1, 2)]},
        {(number, 1): [(2, 2, 1)]},
    ]


def test_recording_lets_go_of_what_it_holds_when_partitions_move(
    scene: Scene, connection: postgres.Connection
) -> None:
    number = open_campaign(connection)
    for partition in range(10):
        event = batch(number, 1 + 2 * partition, [f"a{partition}", f"b{partition}"]).event
        scene.append(encode(event), partition=partition)

    def refuse() -> postgres.Connection:
        raise DatabaseUnavailable("planted")

    stuck = scene.recording(refuse)
    work(stuck, until=lambda: stuck.records_held > 0 and len(stuck.assigned) == 10)
    other = scene.recording()
    work(stuck, other, until=lambda: len(other.assigned) == 5)
    work(stuck, other, until=lambda: len(rows(connection, number)) == 10)
    assert stuck.records_held <= 5
    stuck.close()
    work(other, until=lambda: scene.admin.lag() == 0)
    other.close()
    assert len(rows(connection, number)) == 20


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_recording_reads_again_what_left_and_came_back_while_it_was_paused(
    scene: Scene, connection: postgres.Connection, protocol: str
) -> None:
    """librdkafka keeps a partition's pause for its next owner in the same process."""
    kafka = scene.settings.kafka.model_copy(update={"group_protocol": protocol})
    scene.settings = scene.settings.model_copy(update={"kafka": kafka})
    number = open_campaign(connection)
    is_away = True

    def connect() -> postgres.Connection:
        if is_away:
            raise DatabaseUnavailable("planted")
        return postgres.connect(scene.settings.postgres)

    first = scene.recording(connect)
    work(first, until=lambda: len(first.assigned) == kafka.partitions)
    scene.append(encode(batch(number, 1, ["a"]).event))
    work(first, until=lambda: first.records_held == 1)
    second = scene.recording(connect)
    work(first, second, until=lambda: len(second.assigned) == kafka.partitions // 2)
    is_away = False
    work(first, second, until=lambda: len(rows(connection, number)) == 1)
    second.close()
    work(first, until=lambda: len(first.assigned) == kafka.partitions)
    for partition in range(kafka.partitions):
        scene.append(
            encode(batch(number, 2 + partition, [f"u{partition}"]).event), partition=partition
        )
    work(first, until=lambda: len(rows(connection, number)) == 1 + kafka.partitions)
    first.close()


def test_recording_commits_what_is_done_when_it_closes(
    scene: Scene, connection: postgres.Connection
) -> None:
    number = open_campaign(connection)
    scene.append(encode(batch(number, 1, ["a"]).event))
    patient = scene.settings.recorder.model_copy(update={"commit_interval_seconds": 3000})
    scene.settings = scene.settings.model_copy(update={"recorder": patient})
    recording = scene.recording()
    work(recording, until=lambda: bool(rows(connection, number)))
    assert scene.admin.recorded_up_to()[0] == 0
    recording.close()
    assert scene.admin.recorded_up_to()[0] == 1


def test_recording_leaves_when_told_to_stop(scene: Scene, connection: postgres.Connection) -> None:
    number = open_campaign(connection)
    scene.append(encode(batch(number, 1, ["a"]).event))
    patient = scene.settings.recorder.model_copy(update={"commit_interval_seconds": 3000})
    scene.settings = scene.settings.model_copy(update={"recorder": patient})
    stop = threading.Event()
    thread = threading.Thread(target=scene.recording().run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not rows(connection, number):
        assert time.monotonic() < deadline
    stop.set()
    thread.join(TIMEOUT_SECONDS)
    assert not thread.is_alive()
    assert scene.admin.recorded_up_to()[0] == 1


def test_recording_shows_that_it_is_stopped_and_goes_on_by_itself(
    scene: Scene, connection: postgres.Connection
) -> None:
    number = open_campaign(connection)
    scene.settings = scene.settings.model_copy(
        update={
            "recorder": scene.settings.recorder.model_copy(update={"retry_pause_seconds_max": 0.1})
        }
    )
    connection.execute("ALTER TABLE issuances ADD CONSTRAINT fault CHECK (status <> 'ISSUED')")
    scene.append(encode(batch(number, 1, [f"u{n}" for n in range(30)]).event))
    recording = scene.recording()
    work(recording, until=lambda: recording.stopped)
    assert dead_letters(connection) == []
    connection.execute("ALTER TABLE issuances DROP CONSTRAINT fault")
    work(recording, until=lambda: not recording.stopped and not recording.records_held)
    recording.close()
    assert len(rows(connection, number)) == 30


def test_settling_never_fails_and_writes_later_what_it_could_not(scene: Scene) -> None:
    number = CampaignId(time.time_ns() // 1000 % 2**35 + 1)
    now, away, tries = 0.0, True, 0

    def open_session() -> GateSession:
        nonlocal tries
        tries += 1
        if away:
            raise GateUnavailable("planted")
        return GateSession.open(scene.settings.redis)

    settling = Settling(open_session, clock=lambda: now)
    with GateSession.open(scene.settings.redis) as gate:
        gate.call("HSET", keys.gate(number), "epoch", keys.epoch_field(1, gate.run_id))
        for step in range(100):
            now = step / 100
            settling.settle(settled_of(number, step + 1))
        assert tries == settling.failures == 3  # at 0, 0.25 and 0.75 seconds
        away, now = False, 60.0
        settling.settle(settled_of(number, 101))
        assert gate.call("STRLEN", keys.settled(number, 1)) == 101 // 4 + 1
        bits = gate.call(
            "BITFIELD_RO", keys.settled(number, 1), "GET", "u2", "#1", "GET", "u2", "#101"
        )
        assert bits == [1, 1]
        gate.call("DEL", keys.gate(number), keys.settled(number, 1))
    settling.close()


def settled_of(number: CampaignId, position: int) -> Settled:
    """Return one issued position."""
    settled = Settled()
    settled.add(number, 1, [(position, position, 1)])
    return settled
