"""A member of the recorders' group that is finished for good is followed by a new one."""

import pytest

from firstcome import postgres
from firstcome.errors import LogUnavailable
from firstcome.eventlog import consumer, groups
from firstcome.eventlog.events import encode
from firstcome.settings import KafkaSettings, Settings
from tests.integration.claimed import batch, open_campaign, rows
from tests.integration.fatal import break_for_good
from tests.integration.recording_stage import Scene, work

pytestmark = pytest.mark.integration


def test_recorder_joins_anew_when_its_member_has_given_up(
    settings: Settings, connection: postgres.Connection
) -> None:
    """The client says so once, in a record that is none, and would be silent from then on."""
    scene = Scene(settings)
    number = open_campaign(connection)
    recording = scene.recording()
    scene.append(encode(batch(number, 1, ["a"]).event))
    work(recording, until=lambda: scene.admin.recorded_up_to()[0] == 1)
    first = recording._consumer._consumer
    break_for_good(first)
    scene.append(encode(batch(number, 2, ["b"]).event))
    work(recording, until=lambda: scene.admin.recorded_up_to()[0] == 2)
    recording.close()
    assert recording._consumer._consumer is not first
    assert [user for _, user, _ in rows(connection, number)] == ["a", "b"]


def test_recorder_ends_when_every_member_that_it_sends_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(kafka: KafkaSettings) -> dict[str, str | int | bool]:
        return groups.consumer_options(kafka) | {"group.remote.assignor": "nobody"}

    monkeypatch.setattr(consumer, "RENEWAL_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(consumer, "consumer_options", refused)
    recording = Scene(settings).recording()
    with pytest.raises(LogUnavailable, match="cannot be polled"):
        work(recording, until=lambda: False)
    recording.close()
