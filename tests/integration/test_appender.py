"""The appender and its producer, on real engines: away, broken, replaced, and back again."""

import pytest
from confluent_kafka import KafkaError

from firstcome.errors import LogUnavailable
from firstcome.eventlog import kafka
from firstcome.metrics import catalogue
from firstcome.model import Answer, Outcome
from tests.integration.engines import OwnEngines
from tests.integration.fatal import break_for_good
from tests.integration.gate_stage import eventually, on_uvloop
from tests.integration.intake_stage import intake_stage

pytestmark = [
    pytest.mark.integration,
    # The supervisor of the engines outlives whoever starts it, as it should.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


@on_uvloop
async def test_appender_without_a_successor_for_a_broken_producer_refuses_claims(
    own: OwnEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> None:
        raise RuntimeError("planted")

    async with intake_stage(own.of_one_test()) as stage:
        number = stage.open_campaign()
        monkeypatch.setattr(stage.appender, "_new_producer", break_down)
        monkeypatch.setattr(stage.appender, "_watch_once", lambda: None)
        break_for_good(stage.appender._producer)
        stage.appender._serve()
        stage.claim(number, "ann")
        assert stage.answers["ann"] == [Answer(Outcome.UNAVAILABLE)]


@on_uvloop
async def test_appender_goes_on_with_a_new_producer_after_a_fatal_error(own: OwnEngines) -> None:
    async with intake_stage(own.of_one_test(kafka={"linger_ms": 300.0})) as stage:
        number = stage.open_campaign()
        stage.claim(number, "ann")
        await eventually("a place", lambda: stage.position_last(number) == 1)
        before = stage.appender._producer
        break_for_good(before)
        stage.appender._serve()
        assert stage.appender._producer is not before
        assert await stage.answer("ann") == Answer(Outcome.UNKNOWN)
        stage.claim(number, "bob")
        assert stage.answers["bob"] == [Answer(Outcome.UNAVAILABLE)]
        await eventually("the broker", lambda: not stage.appender.is_away)
        stage.claim(number, "eve")
        assert (await stage.answer("eve")).outcome is Outcome.REQUESTED


@on_uvloop
async def test_appender_that_learns_of_a_fatal_error_by_appending_is_renewed_too(
    own: OwnEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with intake_stage(own.of_one_test()) as stage:
        await eventually("the broker", lambda: not stage.appender.is_away)
        before, number = stage.appender._producer, stage.open_campaign()
        break_for_good(before)
        refused = catalogue.APPEND_FAILURES.of("refused")
        failures = refused.value
        with pytest.raises(LogUnavailable, match="not handed over"):
            stage.appender.append(b"", lambda _: None)
        assert refused.value == failures + 1
        # Polling would find it too, and so would whoever waits for acknowledgements, after a while.
        monkeypatch.setattr(stage.appender, "_serve", lambda: None)
        monkeypatch.setattr(stage.appender, "_watch_once", lambda: None)
        assert stage.appender._producer is before, "whoever appends is not interrupted"
        await eventually("a new producer", lambda: stage.appender._producer is not before)
        monkeypatch.undo()
        await eventually("the broker", lambda: not stage.appender.is_away)
        stage.claim(number, "eve")
        assert (await stage.answer("eve")).outcome is Outcome.REQUESTED


class DeafProducer:
    """Takes every record and never reports."""

    def produce(self, *_: object, **__: object) -> None:
        """Swallow it."""

    def poll(self, _: float) -> int:
        """Report nothing."""
        return 0

    def purge(self) -> None:
        """There is nothing to throw away."""


@on_uvloop
async def test_appender_replaces_a_producer_that_stays_away(
    own: OwnEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "RENEW_SECONDS", 0.3)
    quick = own.of_one_test(intake={"away_after_seconds": 0.2, "heartbeat_seconds": 0.05})
    async with intake_stage(quick) as stage:
        number = stage.open_campaign()
        deaf = stage.appender._producer = DeafProducer()  # type: ignore[assignment]
        stage.claim(number, "ann")
        assert await stage.answer("ann") == Answer(Outcome.UNKNOWN)
        await eventually("a new producer", lambda: stage.appender._producer is not deaf)
        stage.appender._intake = own.of_one_test().intake
        await eventually("the broker", lambda: not stage.appender.is_away)
        stage.claim(number, "bob")
        assert (await stage.answer("bob")).outcome is Outcome.REQUESTED


@on_uvloop
async def test_appender_counts_the_broker_as_away_after_a_failed_delivery(own: OwnEngines) -> None:
    async with intake_stage(own.of_one_test()) as stage:
        number = stage.open_campaign()
        error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "planted")
        unknown = catalogue.APPEND_FAILURES.of("unknown")
        failures = unknown.value
        stage.appender._reported(0, error, None)  # type: ignore[arg-type]
        assert unknown.value == failures + 1
        stage.claim(number, "ann")
        assert stage.answers["ann"] == [Answer(Outcome.UNAVAILABLE)]
        await eventually("the broker", lambda: not stage.appender.is_away)
        stage.claim(number, "bob")
        assert (await stage.answer("bob")).outcome is Outcome.REQUESTED


@on_uvloop
async def test_broker_is_not_back_by_what_was_appended_before_it_went(own: OwnEngines) -> None:
    slow = own.of_one_test(kafka={"linger_ms": 300.0}, intake={"heartbeat_seconds": 60.0})
    async with intake_stage(slow) as stage:
        await eventually("no report owed", lambda: not stage.appender._owed)
        number = stage.open_campaign()
        stage.claim(number, "ann")
        await eventually("a record on its way", lambda: bool(stage.appender._owed))
        assert stage.position_last(number) == 1
        stage.appender._go_away("planted")
        assert await stage.answer("ann") == Answer(Outcome.UNKNOWN)
        await eventually("the acknowledgement", lambda: not stage.appender._owed)
        assert stage.appender.is_away
        stage.appender.append(b"", lambda _: None)
        await eventually("the broker", lambda: not stage.appender.is_away)
