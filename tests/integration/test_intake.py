"""A claim's way to its answer, on real engines: what is promised, what is not, and never twice."""

from functools import partial
from threading import Event, Thread
from time import monotonic

import pytest

from firstcome import postgres, rebuild
from firstcome.campaigns import Campaigns
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate import register
from firstcome.gate.gate import Verdicts
from firstcome.gate.journal import Journal
from firstcome.issuance import intake
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.recording import Recording
from firstcome.metrics import catalogue
from firstcome.model import Answer, Outcome, Status
from firstcome.rebuild import Rebuild
from tests.integration.engines import OwnEngines
from tests.integration.gate_stage import eventually, fresh_id, on_uvloop
from tests.integration.intake_stage import Stage, intake_stage

pytestmark = [
    pytest.mark.integration,
    # The supervisor of the engines outlives whoever starts it, as it should.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]

ISSUED, UNDER_REVIEW, CANCELLED = 1, 2, 3


@on_uvloop
async def test_claimants_are_promised_only_what_the_log_has(own: OwnEngines) -> None:
    async with intake_stage(own.of_one_test()) as stage:
        number = stage.open_campaign(limit=150)
        for n in range(200):
            stage.claim(number, f"user-{n}")
        assert await stage.all_answered() == {"REQUESTED": 150, "OUT_OF_STOCK": 50}
        promised = {
            heard[0].position: user
            for user, heard in stage.answers.items()
            if heard[0].outcome is Outcome.REQUESTED
        }
        assert stage.appended(number) == promised == {n + 1: f"user-{n}" for n in range(150)}


@on_uvloop
async def test_claimant_who_asks_again_hears_of_the_place_that_he_has(own: OwnEngines) -> None:
    async with intake_stage(own.of_one_test()) as stage:
        number = stage.open_campaign()
        stage.claim(number, "ann", 7, tag="first")
        stage.claim(number, "ann", 8, tag="another")  # in the same batch
        assert await stage.answer("first") == Answer(Outcome.REQUESTED, 1, Status.REQUESTED)
        assert await stage.answer("another") == Answer(Outcome.DUPLICATE, 1, Status.REQUESTED)
        for code, status in ((UNDER_REVIEW, Status.UNDER_REVIEW), (ISSUED, Status.ISSUED)):
            stage.settle(number, 1, code)
            stage.claim(number, "ann", 0, tag=status)
            assert await stage.answer(status) == Answer(Outcome.DUPLICATE, 1, status)
        stage.claim(number, "ann", 7, tag="again")
        promise = Answer(Outcome.REQUESTED, 1, Status.REQUESTED, replayed=True)
        assert await stage.answer("again") == promise
        assert stage.position_last(number) == 1


@pytest.mark.parametrize("code", [ISSUED, UNDER_REVIEW, CANCELLED])
@on_uvloop
async def test_replay_waits_until_the_place_is_settled(own: OwnEngines, code: int) -> None:
    async with intake_stage(own.of_one_test()) as stage:
        number = stage.open_campaign()
        stage.claim(number, "ann", 7, tag="first")
        for n in range(20):
            stage.claim(number, "ann", 7, tag=n)
        await stage.answer("first")
        assert not any(stage.answers[n] for n in range(20))
        began = monotonic()
        stage.settle(number, 1, code)
        await stage.all_answered()
        assert monotonic() - began < 1.0
        expected = {
            ISSUED: Answer(Outcome.REQUESTED, 1, Status.REQUESTED, replayed=True),
            UNDER_REVIEW: Answer(Outcome.UNKNOWN),
            CANCELLED: Answer(Outcome.UNAVAILABLE),
        }
        assert {stage.answers[n][0] for n in range(20)} == {expected[code]}


@on_uvloop
async def test_replay_is_unknown_when_the_place_is_not_settled_in_time(own: OwnEngines) -> None:
    quick = own.of_one_test(intake={"answer_deadline_seconds": 1.2})
    async with intake_stage(quick) as stage:
        number = stage.open_campaign()
        stage.claim(number, "ann", 7, tag="first")
        await stage.answer("first")
        began = monotonic()
        stage.claim(number, "ann", 7, tag="again")
        assert await stage.answer("again") == Answer(Outcome.UNKNOWN)
        assert 1.1 < monotonic() - began < 3.0


@on_uvloop
async def test_claimants_hear_soon_that_the_broker_is_away_and_nobody_takes_a_place(
    own: OwnEngines,
) -> None:
    async with intake_stage(own.of_one_test(intake={"away_after_seconds": 1.5})) as stage:
        number = stage.open_campaign()
        stage.claim(number, "before")
        assert (await stage.answer("before")).outcome is Outcome.REQUESTED
        with own.stopped("kafka-1"):
            began = monotonic()
            for n in range(50):
                stage.claim(number, f"waiting-{n}", 7)
            await stage.all_answered()
            assert 0.5 < monotonic() - began < 6.0  # not when their time is over
            assert all(
                stage.answers[f"waiting-{n}"] == [Answer(Outcome.UNKNOWN)] for n in range(50)
            )
            assert stage.appender.is_away
            for n in range(50):
                stage.claim(number, f"refused-{n}")
                assert stage.answers[f"refused-{n}"] == [Answer(Outcome.UNAVAILABLE)]
            assert stage.position_last(number) == 51
        await eventually("the broker", lambda: not stage.appender.is_away)
        stage.claim(number, "after")
        assert (await stage.answer("after")) == Answer(Outcome.REQUESTED, 52, Status.REQUESTED)
        await stage.all_answered()
        # What was unknown was on its way all the same.
        assert set(stage.appended(number)) == set(range(1, 53))


@on_uvloop
async def test_claim_judged_after_the_broker_has_gone_is_not_kept_waiting(own: OwnEngines) -> None:
    def gone(_: Verdicts) -> None:
        if stage.answers:
            stage.appender._go_away("planted")

    async with intake_stage(own.of_one_test(), on_verdicts=gone) as stage:
        number = stage.open_campaign()
        began = monotonic()
        stage.claim(number, "ann")
        assert await stage.answer("ann") == Answer(Outcome.UNKNOWN)
        assert monotonic() - began < 4.0


@pytest.mark.parametrize("expires", [True, False])
@on_uvloop
async def test_acknowledgement_after_the_deadline_is_no_promise(
    own: OwnEngines, monkeypatch: pytest.MonkeyPatch, expires: bool
) -> None:
    if not expires:  # the acknowledgement is quicker than the look at the clock
        monkeypatch.setattr(intake, "EXPIRE_SECONDS", 60.0)
    late = own.of_one_test(
        # A heartbeat that waits already would take the claim along, in time.
        intake={
            "answer_deadline_seconds": 0.2,
            "away_after_seconds": 9.0,
            "heartbeat_seconds": 60.0,
        },
        kafka={"linger_ms": 2500.0 if expires else 500.0},
    )
    async with intake_stage(late) as stage:
        number = stage.open_campaign()
        began = monotonic()
        stage.claim(number, "ann")
        assert await stage.answer("ann") == Answer(Outcome.UNKNOWN)
        waited = monotonic() - began
        assert 0.2 <= waited < 2.3 if expires else 0.4 < waited < 3.0
        await eventually("the record", lambda: stage.appended(number), lambda seen: len(seen) == 1)
        assert len(stage.answers["ann"]) == 1


@on_uvloop
async def test_claim_that_was_not_handed_over_is_given_up_and_may_be_made_again(
    own: OwnEngines,
) -> None:
    full = own.of_one_test(
        intake={"heartbeat_seconds": 60.0},
        kafka={"queue_records_max": 1, "linger_ms": 400.0},
    )
    async with intake_stage(full) as stage:
        number = stage.open_campaign(limit=3)
        compensated = catalogue.COMPENSATED.of("cancelled")
        before = compensated.value
        stage.claim(number, "first")
        await eventually("a place", lambda: stage.position_last(number) == 1)
        for user in ("ann", "bob"):
            stage.claim(number, user, 7)
        assert await stage.answer("ann") == Answer(Outcome.UNAVAILABLE)
        assert await stage.answer("bob") == Answer(Outcome.UNAVAILABLE)
        assert (await stage.answer("first")).outcome is Outcome.REQUESTED
        assert rows(stage, number) == [
            (2, "ann", "CANCELLED", "NOT_APPENDED"),
            (3, "bob", "CANCELLED", "NOT_APPENDED"),
        ]
        assert compensated.value == before + 2
        # No sweeper runs here: whoever was answered is free already.
        gate = register.read(stage.session, number)
        assert (gate.position_last, gate.position_limit) == (3, 5)
        stage.claim(number, "ann", 7, tag="again")
        promise = Answer(Outcome.REQUESTED, 4, Status.REQUESTED)
        assert await stage.answer("again") == promise
        assert stage.appended(number) == {1: "first", 4: "ann"}
        await stage.all_answered()


@on_uvloop
async def test_claim_that_cannot_be_given_up_is_unknown(own: OwnEngines) -> None:
    full = own.of_one_test(
        intake={"heartbeat_seconds": 60.0},
        kafka={"queue_records_max": 1, "linger_ms": 300.0},
    )
    async with intake_stage(full) as stage:
        number = stage.open_campaign()
        stage.claim(number, "first")
        await eventually("a place", lambda: stage.position_last(number) == 1)
        # Recorded already, as a sweeper might have done.
        stage.database.execute(
            "INSERT INTO issuances (campaign_id, position, epoch, status, user_id)"
            " VALUES (%s, 2, 1, 'ISSUED', 'ann')",
            (number,),
        )
        stage.claim(number, "ann", tag="ann")
        assert await stage.answer("ann") == Answer(Outcome.UNKNOWN)
        assert rows(stage, number) == [(2, "ann", "ISSUED", None)]
        await stage.answer("first")
        stage.database.execute("BEGIN")
        stage.database.execute("SELECT FROM campaigns WHERE campaign_id = %s FOR UPDATE", (number,))
        for place, user in enumerate(("bob", "eve"), start=3):
            stage.claim(number, user)
            await eventually("a place", lambda n=place: stage.position_last(number) == n)
        assert (await stage.answer("bob")).outcome is Outcome.REQUESTED
        assert await stage.answer("eve") == Answer(Outcome.UNKNOWN)  # PostgreSQL gave no answer
        stage.database.execute("ROLLBACK")
        assert rows(stage, number) == [(2, "ann", "ISSUED", None)]
        await stage.all_answered()


def rows(stage: Stage, number: int) -> list[tuple[object, ...]]:
    """Return (position, user, status, reason) of every row."""
    return stage.database.execute(
        "SELECT position, user_id, status::text, reason FROM issuances WHERE campaign_id = %s"
        " ORDER BY position",
        (number,),
    ).fetchall()


@on_uvloop
async def test_claims_on_a_campaign_without_a_gate_are_explained(own: OwnEngines) -> None:
    async with intake_stage(own.of_one_test()) as stage:
        closed, starting = stage.open_campaign(), stage.open_campaign()
        stage.session.call("DEL", f"fc:{{{closed}}}:gate", f"fc:{{{starting}}}:gate")
        stage.database.execute(
            "UPDATE campaigns SET state = 'CLOSED' WHERE campaign_id = %s", (closed,)
        )
        for number in (closed, starting, fresh_id()):
            stage.claim(number, "ann", tag=number)
        assert await stage.all_answered() == {"CLOSED": 1, "UNAVAILABLE": 1, "NOT_FOUND": 1}


@on_uvloop
async def test_answer_that_cannot_be_given_costs_nobody_else_his(own: OwnEngines) -> None:
    def break_down(_: Answer) -> None:
        raise RuntimeError("planted")

    async with intake_stage(own.of_one_test()) as stage:
        number = stage.open_campaign(limit=2)
        for tag, user in enumerate(["ann", "bob", "bob", "eve"]):
            stage.intake.claim(number, f"gone-{tag}", 0, break_down)  # type: ignore[arg-type]
            stage.claim(number, user, tag=tag)
        assert await stage.all_answered() == {"REQUESTED": 1, "OUT_OF_STOCK": 3}
        assert len(stage.appended(number)) == 2


@on_uvloop
async def test_replay_that_cannot_be_watched_costs_nobody_else_his_answer(
    own: OwnEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("planted")

    async with intake_stage(own.of_one_test()) as stage:
        number = stage.open_campaign()
        stage.claim(number, "ann", 7)
        await stage.answer("ann")
        monkeypatch.setattr(stage.watcher, "watch", break_down)
        for tag, user in enumerate(["bob", "ann", "eve"]):
            stage.claim(number, user, 7, tag=tag)
        assert await stage.answer(1) == Answer(Outcome.UNKNOWN)
        assert await stage.all_answered() == {"REQUESTED": 3, "UNKNOWN": 1}


@on_uvloop
async def test_claims_of_a_process_that_stood_still_across_a_rebuild_are_unknown_and_fenced(
    own: OwnEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "GRACE_SECONDS", 0.1)
    settings = own.of_one_test(intake={"answer_deadline_seconds": 2.0})  # a rebuild waits for it
    slept: list[int] = []

    def sleep(verdicts: Verdicts) -> None:
        """Stop the whole event loop, places in hand, until the next epoch is open."""
        if not stage.answers or slept:
            return
        [campaign] = [each for each in Campaigns(connect).list() if each.campaign_id == number]
        log = LogAdmin(settings.kafka)
        work = partial(Rebuild(settings, log, recorder, Event()).run_once, [campaign])
        rebuilding = Thread(target=lambda: slept.append(work()))
        rebuilding.start()
        while rebuilding.is_alive():
            recording.run_once()

    connect = partial(postgres.connect, settings.postgres)
    recorder, other = (Recorder(connect, settings.recorder) for _ in range(2))
    async with intake_stage(settings, on_verdicts=sleep) as stage:
        recording = Recording(settings.kafka, settings.recorder, other, lambda _: None)
        number = stage.open_campaign(limit=5)
        # The journal is lost, as with a wiped Redis: only the sleeper knows of these claims.
        monkeypatch.setattr(Journal, "read", lambda *_: [])
        stage.claim(number, "ann", 7)
        stage.claim(number, "bob", 7)
        assert await stage.all_answered() == {"UNKNOWN": 2}
        assert slept == [1]
        await eventually("the late record", lambda: stage.appended(number))
        fenced = 0
        while not fenced:
            fenced += recording.run_once().fenced
        recording.close()
        assert (fenced, rows(stage, number)) == (2, [])
        await eventually("the broker", lambda: not stage.appender.is_away)
        stage.claim(number, "bob", 7, tag="again")
        promise = Answer(Outcome.REQUESTED, 1, Status.REQUESTED)
        assert await stage.answer("again") == promise
