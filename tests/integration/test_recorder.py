"""What the recorder makes of claims, on a real database."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from firstcome import postgres
from firstcome.errors import BadRecord, DatabaseUnavailable, RecordingStopped, RowExists
from firstcome.eventlog.consumer import Origin
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.transaction import Transaction
from firstcome.settings import RecorderSettings, Settings
from tests.integration.claimed import (
    announced,
    batch,
    dead_letters,
    end_epoch,
    numbers_of,
    open_campaign,
    payloads,
    rows,
)

pytestmark = pytest.mark.integration

Connect = Callable[[], postgres.Connection]
POISON = (
    "ALTER TABLE issuances ADD CONSTRAINT poison "
    "CHECK (status <> 'ISSUED' OR user_id NOT LIKE 'poison%')"
)


@pytest.fixture
def recorder(connect: Connect) -> Iterator[Recorder]:
    """A recorder with default settings that does not pause between tries."""
    with closing(Recorder(connect, RecorderSettings(), pause=lambda _: None)) as made:
        yield made


def test_recorder_issues_and_announces_every_claim(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    recorded = recorder.record(
        [
            batch(campaign_id, 4, ["d", "e"], attempts=[9, 0]),
            batch(campaign_id, 1, ["a", "b", "c"]),
        ]
    )
    assert (recorded.issued, recorded.replayed) == (5, 0)
    assert recorded.settled.coalesced() == {(campaign_id, 1): [(1, 5, 1)]}
    assert rows(connection, campaign_id) == [
        (position, user, "ISSUED") for position, user in enumerate("abcde", 1)
    ]
    assert announced(connection, campaign_id) == [1, 2, 3, 4, 5]
    attempts = connection.execute("SELECT attempt FROM issuances ORDER BY position").fetchall()
    assert [attempt for (attempt,) in attempts] == [0, 0, 0, 9, 0]
    assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_recorder_writes_nothing_when_a_batch_comes_again(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    batches = [batch(campaign_id, 1, ["a", "b"]), batch(campaign_id, 3, ["c"])]
    recorder.record(batches[:1])
    recorded = recorder.record([*batches, batches[0]])
    assert (recorded.issued, recorded.replayed) == (1, 4)
    assert recorded.settled.coalesced() == {(campaign_id, 1): [(1, 3, 1)]}
    assert announced(connection, campaign_id) == [1, 2, 3]


def test_plain_insert_of_what_is_there_already_is_rolled_back_as_a_whole(
    recorder: Recorder, connection: postgres.Connection, connect: Connect
) -> None:
    campaign_id = open_campaign(connection)
    recorder.record([batch(campaign_id, 2, ["b"])])
    with (
        closing(connect()) as session,
        pytest.raises(RowExists),
        postgres.transaction(session),
    ):
        Transaction(session, all_new=True).record([batch(campaign_id, 1, ["a", "b"])])
    assert rows(connection, campaign_id) == [(2, "b", "ISSUED")]
    assert announced(connection, campaign_id) == [2]


def test_recorder_gives_a_place_up_when_its_user_is_in_already(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection, stock=10)
    recorder.record([batch(campaign_id, 1, ["a", "b"])])
    twice = [batch(campaign_id, 3, ["b", "c", "a", "c"])]
    recorded = recorder.record(twice)
    assert (recorded.issued, recorded.cancelled) == (1, 3)
    assert rows(connection, campaign_id) == [
        (1, "a", "ISSUED"),
        (2, "b", "ISSUED"),
        (3, "b", "CANCELLED"),
        (4, "c", "ISSUED"),
        (5, "a", "CANCELLED"),
        (6, "c", "CANCELLED"),
    ]
    assert recorded.settled.coalesced() == {(campaign_id, 1): [(3, 3, 3), (4, 4, 1), (5, 6, 3)]}
    assert numbers_of(connection, campaign_id) == (13, 2)
    cancelled = connection.execute(
        "SELECT DISTINCT version, reason FROM issuances WHERE status = 'CANCELLED'"
    ).fetchall()
    assert cancelled == [(2, "DUPLICATE")]
    again = recorder.record(twice)
    assert (again.replayed, again.cancelled) == (4, 0)
    assert numbers_of(connection, campaign_id) == (13, 2)
    assert announced(connection, campaign_id) == [1, 2, 4]


def test_recorder_leaves_a_cancelled_position_alone(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    connection.execute(
        "INSERT INTO issuances (campaign_id, position, epoch, status, reason, version) "
        "VALUES (%s, 2, 1, 'CANCELLED', 'HOLE', 1)",
        (campaign_id,),
    )
    recorded = recorder.record([batch(campaign_id, 1, ["a", "b", "c"])])
    assert (recorded.issued, recorded.replayed) == (2, 1)
    assert recorded.settled.coalesced() == {(campaign_id, 1): [(1, 1, 1), (2, 2, 3), (3, 3, 1)]}
    assert announced(connection, campaign_id) == [1, 3]


def test_recorder_fences_what_lies_beyond_the_end_of_an_epoch(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    end_epoch(connection, campaign_id, 1, last=2)
    recorded = recorder.record(
        [
            batch(campaign_id, 1, ["a", "b", "late"]),
            batch(campaign_id, 4, ["later"]),
            batch(campaign_id, 3, ["c"], epoch=2),
        ]
    )
    assert (recorded.issued, recorded.fenced) == (3, 2)
    assert recorded.settled.coalesced() == {
        (campaign_id, 1): [(1, 2, 1)],
        (campaign_id, 2): [(3, 3, 1)],
    }
    assert [user for _, user, _ in rows(connection, campaign_id)] == ["a", "b", "c"]


def test_recorder_fences_what_waited_for_the_rebuild_that_ended_its_epoch(
    recorder: Recorder, connection: postgres.Connection, connect: Connect
) -> None:
    campaign_id = open_campaign(connection)
    outcome = []
    with closing(connect()) as rebuild:
        rebuild.execute("SELECT 1 FROM campaigns WHERE campaign_id = %s FOR UPDATE", (campaign_id,))
        thread = threading.Thread(
            target=lambda: outcome.append(recorder.record([batch(campaign_id, 1, ["a"])]))
        )
        thread.start()
        while not connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        ).fetchone():
            pass
        end_epoch(rebuild, campaign_id, 1, last=0)
        rebuild.commit()
    thread.join(10)
    assert outcome[0].fenced == 1
    assert rows(connection, campaign_id) == []


def test_recorder_lets_other_recorders_work_on_the_same_campaign(
    recorder: Recorder, connection: postgres.Connection, connect: Connect
) -> None:
    campaign_id = open_campaign(connection)
    with closing(connect()) as other:
        other.execute(
            "SELECT 1 FROM campaigns WHERE campaign_id = %s FOR KEY SHARE", (campaign_id,)
        )
        recorded = recorder.record([batch(campaign_id, 1, ["a"]), batch(campaign_id, 2, ["a"])])
        # It is still there: the recorder did not wait until the server had ended it.
        other.execute("SELECT 1")
    assert (recorded.issued, recorded.cancelled) == (1, 1)


def test_recorders_that_give_places_up_in_two_campaigns_never_wait_for_each_other_for_ever(
    connect: Connect, connection: postgres.Connection
) -> None:
    """Each locks both campaigns' rows, in the order of their ids, whatever came first."""
    pair: list[int] = [open_campaign(connection), open_campaign(connection)]
    for campaign_id in pair:
        with closing(Recorder(connect, RecorderSettings())) as recorder:
            recorder.record([batch(campaign_id, 1, ["twice"])])
    faults: list[BaseException] = []

    def give_up(campaigns: list[int], first: int) -> None:
        with closing(Recorder(connect, RecorderSettings())) as recorder:
            for n in range(first, first + 80, 2):
                try:
                    recorder.record([batch(each, n, ["twice"]) for each in campaigns])
                except DatabaseUnavailable as fault:
                    faults.append(fault)

    threads = [
        threading.Thread(target=give_up, args=(pair, 2)),
        threading.Thread(target=give_up, args=(pair[::-1], 3)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    for campaign_id in pair:
        assert [status for _, _, status in rows(connection, campaign_id)][1:] == ["CANCELLED"] * 80
        assert numbers_of(connection, campaign_id) == (1080, 81)


def test_recorder_sets_aside_what_no_gate_has_ever_admitted(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    batches = [
        batch(campaign_id, 1, ["a"], epoch=7, offset=1),
        batch(campaign_id + 1, 1, ["b"], offset=2),
        batch(campaign_id, 1, ["c"], offset=3),
    ]
    recorded = recorder.record(batches)
    assert (recorded.issued, recorded.dead_lettered) == (1, 2)
    recorder.record(batches)
    assert dead_letters(connection) == [
        ("UNKNOWN_EPOCH", 1, "a", 1),
        ("UNKNOWN_CAMPAIGN", 1, "b", 2),
    ]


@pytest.mark.parametrize("user_id", ["", "a b", "x" * 65, "naïve", "a\0b", "\ud800", "a\nb"])
def test_recorder_sets_impossible_users_aside_and_issues_their_neighbours(
    recorder: Recorder, connection: postgres.Connection, user_id: str
) -> None:
    campaign_id = open_campaign(connection)
    recorded = recorder.record([batch(campaign_id, 1, ["a", user_id, "b"], attempts=[1, 2, 3])])
    assert (recorded.issued, recorded.dead_lettered) == (2, 1)
    assert rows(connection, campaign_id) == [(1, "a", "ISSUED"), (3, "b", "ISSUED")]
    assert [letter[:2] for letter in dead_letters(connection)] == [("IMPOSSIBLE_USER", 2)]


def test_recorder_sets_aside_what_is_beyond_the_limit_and_issues_the_rest(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection, stock=2)
    recorded = recorder.record([batch(campaign_id, 1, ["a", "b", "c"], offset=5)])
    assert (recorded.issued, recorded.dead_lettered) == (2, 1)
    assert recorded.settled.coalesced() == {(campaign_id, 1): [(1, 2, 1)]}
    assert dead_letters(connection) == [("BEYOND_LIMIT", 3, "c", 5)]
    assert payloads(connection) == [batch(campaign_id, 3, ["c"], attempts=[0]).event]


def test_recorder_sets_aside_a_claim_whose_position_is_another_users(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    recorder.record([batch(campaign_id, 1, ["a"])])
    recorded = recorder.record([batch(campaign_id, 1, ["b", "c"], offset=8)])
    assert (recorded.issued, recorded.dead_lettered) == (1, 1)
    assert rows(connection, campaign_id) == [(1, "a", "ISSUED"), (2, "c", "ISSUED")]
    assert dead_letters(connection) == [("POSITION_TAKEN", 1, "b", 8)]
    assert payloads(connection) == [batch(campaign_id, 1, ["b"], attempts=[0]).event]


def test_recorder_quarantines_the_one_bad_claim_and_issues_its_neighbours(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    connection.execute(POISON)
    users = [f"u{number}" for number in range(100)]
    users[37] = "poison"
    batches = [batch(campaign_id, 1 + 10 * n, users[10 * n : 10 * n + 10]) for n in range(10)]
    recorded = recorder.record(batches)
    assert (recorded.issued, recorded.quarantined) == (99, 1)
    assert recorded.settled.coalesced() == {
        (campaign_id, 1): [(1, 37, 1), (38, 38, 2), (39, 100, 1)]
    }
    assert rows(connection, campaign_id)[37] == (38, "poison", "UNDER_REVIEW")
    assert dead_letters(connection) == [("REJECTED", 38, "poison", None)]
    assert payloads(connection) == [batch(campaign_id, 38, ["poison"], attempts=[0]).event]
    assert connection.execute("SELECT attempts FROM dead_letters").fetchone() == (5,)
    assert announced(connection, campaign_id) == [n for n in range(1, 101) if n != 38]
    again = recorder.record(batches)
    assert (again.issued, again.quarantined, again.replayed) == (0, 0, 100)


def test_recorder_issues_a_refused_claim_when_a_later_try_succeeds(
    connect: Connect, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    connection.execute(POISON)

    def mend(_: float) -> None:
        connection.execute("ALTER TABLE issuances DROP CONSTRAINT IF EXISTS poison")

    with closing(Recorder(connect, RecorderSettings(), pause=mend)) as recorder:
        recorded = recorder.record([batch(campaign_id, 1, ["a", "poison"])])
    assert (recorded.issued, recorded.quarantined) == (2, 0)
    assert dead_letters(connection) == []


def test_recorder_quarantines_a_claim_of_an_impossible_time(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    recorded = recorder.record([batch(campaign_id, 1, ["a"], requested_at=1e300)])
    assert recorded.quarantined == 1
    assert rows(connection, campaign_id) == [(1, "a", "UNDER_REVIEW")]


def test_recorder_stops_when_too_many_claims_are_refused(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    connection.execute(POISON)
    users = [f"poison{n}" if n % 4 else f"u{n}" for n in range(40)]
    with pytest.raises(RecordingStopped, match="nothing was quarantined"):
        recorder.record([batch(campaign_id, 1, users)])
    assert {status for _, _, status in rows(connection, campaign_id)} <= {"ISSUED"}
    assert dead_letters(connection) == []
    connection.execute("ALTER TABLE issuances DROP CONSTRAINT poison")
    recorder.record([batch(campaign_id, 1, users)])
    assert len(rows(connection, campaign_id)) == 40


def test_recorder_does_not_stop_for_a_few_bad_claims_or_for_those_without_rows(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection, stock=25)
    connection.execute(POISON)
    recorded = recorder.record([batch(campaign_id, 1, [f"poison{n}" for n in range(19)])])
    assert recorded.quarantined == 19
    users = [f"poison{n}" for n in range(19)] + ["poison19", "poison20"]
    replayed = recorder.record([batch(campaign_id, 1, users)])
    assert (replayed.replayed, replayed.quarantined) == (19, 2)
    beyond = recorder.record([batch(campaign_id, 26, [f"u{n}" for n in range(30)])])
    assert beyond.dead_lettered == 30


def test_recorder_goes_on_after_its_session_was_lost(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    recorder.record([batch(campaign_id, 1, ["a"])])
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(DatabaseUnavailable):
        recorder.record([batch(campaign_id, 2, ["b"])])
    recorded = recorder.record([batch(campaign_id, 2, ["b"])])
    assert recorded.issued + recorded.replayed == 1


def test_recorder_is_told_when_the_database_cannot_be_reached(settings: Settings) -> None:
    nowhere = settings.postgres.model_copy(
        update={"url": type(settings.postgres.url)("postgresql://127.0.0.1:1/none")}
    )
    with (
        closing(Recorder(lambda: postgres.connect(nowhere), RecorderSettings())) as recorder,
        pytest.raises(DatabaseUnavailable),
    ):
        recorder.record([batch(1, 1, ["a"])])


def test_recorder_sets_an_unreadable_record_aside_once(
    recorder: Recorder, connection: postgres.Connection
) -> None:
    for _ in range(2):
        recorder.set_aside(Origin("requests", 3, 9), b"\x00{", BadRecord("undecodable"))
    found = connection.execute('SELECT reason, payload, "offset" FROM dead_letters').fetchall()
    assert found == [("UNDECODABLE", b"\x00{", 9)]
