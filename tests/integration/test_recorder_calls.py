"""The recorder wakes the relay after its commits, and not for each of them."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from firstcome import postgres
from firstcome.errors import DatabaseUnavailable
from firstcome.issuance.recorder import Recorder
from firstcome.postgres import sessions
from firstcome.relay.outbox import CHANNEL
from firstcome.settings import RecorderSettings, Settings
from tests.integration.claimed import batch, open_campaign, rows

pytestmark = pytest.mark.integration


@pytest.fixture
def recorder(connect: Callable[[], postgres.Connection]) -> Iterator[Recorder]:
    """A recorder of a database of its own."""
    with closing(Recorder(connect, RecorderSettings())) as made:
        yield made


@pytest.fixture
def listener(settings: Settings) -> Iterator[postgres.Listener]:
    """Somebody who listens where the relay does."""
    with closing(postgres.Listener(settings.postgres, CHANNEL, "test-listener")) as made:
        yield made


def test_recorder_calls_once_its_rows_can_be_seen(
    recorder: Recorder, listener: postgres.Listener, connection: postgres.Connection
) -> None:
    campaign_id = open_campaign(connection)
    recorder.record([batch(campaign_id, 1, ["a"])])
    assert listener.wait(5)
    assert rows(connection, campaign_id) == [(1, "a", "ISSUED")]


def test_recorder_does_not_call_for_each_of_its_commits(
    recorder: Recorder,
    listener: postgres.Listener,
    connection: postgres.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "CALL_SECONDS", 3600.0)
    campaign_id = open_campaign(connection)
    recorder.record([batch(campaign_id, 1, ["a"])])
    assert listener.wait(5)
    recorder.record([batch(campaign_id, 2, ["b"])])
    assert not listener.wait(0.2)
    monkeypatch.setattr(sessions, "CALL_SECONDS", 0.0)
    recorder.record([batch(campaign_id, 3, ["c"])])
    assert listener.wait(5)


def test_recorder_does_not_call_for_what_was_recorded_before(
    recorder: Recorder,
    listener: postgres.Listener,
    connection: postgres.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "CALL_SECONDS", 0.0)
    campaign_id = open_campaign(connection)
    recorder.record([batch(campaign_id, 1, ["a"])])
    assert listener.wait(5)
    recorder.record([batch(campaign_id, 1, ["a"])])
    assert not listener.wait(0.2)


def test_a_call_that_fails_takes_nothing_back(
    recorder: Recorder, connection: postgres.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_caller: postgres.Caller, session: postgres.Connection) -> None:
        session.close()
        raise DatabaseUnavailable("the session broke")

    campaign_id = open_campaign(connection)
    with monkeypatch.context() as patched:
        patched.setattr(postgres.Caller, "call", fail)
        assert recorder.record([batch(campaign_id, 1, ["a"])]).issued == 1
    assert recorder.record([batch(campaign_id, 2, ["b"])]).issued == 1
    assert rows(connection, campaign_id) == [(1, "a", "ISSUED"), (2, "b", "ISSUED")]
