"""`firstcome events` and `firstcome relay` as an operator types them."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from firstcome.cli import events, relay
from firstcome.errors import Refused
from firstcome.eventlog import topics
from firstcome.eventlog.client_errors import patiently
from firstcome.relay.history import EventHistory
from firstcome.relay.outbox import Range
from firstcome.settings import KafkaSettings, Settings
from tests.integration.issuing import Issuing
from tests.integration.relays import polling, slot_of, tell

pytestmark = pytest.mark.integration

Command = Callable[..., Result]


@pytest.fixture
def own(settings: Settings) -> Iterator[Settings]:
    """Settings with a slot of this test alone."""
    with slot_of(settings) as own:
        yield own


@pytest.fixture
def command(own: Settings, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `events ...` or `relay ...` in this test's database and topics."""
    monkeypatch.setenv("FIRSTCOME_CONFIG", "/nonexistent")
    monkeypatch.setenv("FIRSTCOME_POSTGRES__URL", own.postgres.url.get_secret_value())
    monkeypatch.setenv("FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS", own.kafka.bootstrap_servers)
    monkeypatch.setenv("FIRSTCOME_KAFKA__TOPIC_PREFIX", own.kafka.topic_prefix)
    monkeypatch.setenv("FIRSTCOME_RELAY__SLOT", str(own.relay.slot))
    groups = {"events": events.app, "relay": relay.app}

    def run(group: str, *arguments: str) -> Result:
        result = CliRunner().invoke(groups[group], list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_what_is_missing_is_not_known_when_the_topic_has_lost_its_oldest_events(
    own: Settings, issuing: Issuing, command: Command
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["a", "b"])
    with polling(own) as relay:
        relay.run_once()
    expire(own.kafka)

    checked = command("events", "check", str(campaign))
    assert checked.exit_code == 1
    assert "what is missing is not known" in checked.stderr
    with pytest.raises(Refused, match="say --first and --last"):
        command("events", "replay", str(campaign), "--missing")
    asked = command("events", "replay", str(campaign), "--first", "1", "--last", "2")
    assert (asked.exit_code, asked.stdout) == (0, "2 events were published again\n")


def test_replay_refuses_what_names_no_positions(issuing: Issuing, command: Command) -> None:
    with pytest.raises(Refused, match="say which"):
        command("events", "replay", "1")
    with pytest.raises(Refused, match="is behind"):
        command("events", "replay", "1", "--first", "9", "--last", "8")


def test_an_event_of_a_stranger_does_nothing_to_the_terminal(
    own: Settings, issuing: Issuing, command: Command
) -> None:
    campaign = issuing.campaign()
    issuing.issue(campaign, 1, ["\x1b[2Jgone"])
    tell(own, Range(campaign, 1, 2))

    told = command("events", "tail", "--from-beginning", "--count", "1")

    assert told.stdout.endswith(r"position 1 '\x1b[2Jgone'" + "\n")


def test_prepare_says_that_a_slot_nobody_reads_keeps_the_log(
    issuing: Issuing, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = command("relay", "prepare", "--mode", "wal")
    assert warned.exit_code == 0
    assert "set FIRSTCOME_RELAY__MODE=wal" in warned.stderr

    monkeypatch.setenv("FIRSTCOME_RELAY__MODE", "wal")
    assert command("relay", "prepare").stderr == ""


def test_a_replay_of_a_process_that_stands_still_lets_go(own: Settings, issuing: Issuing) -> None:
    relay = own.relay.model_copy(update={"acknowledge_timeout_seconds": 0.1})
    session = EventHistory(own.model_copy(update={"relay": relay}))._publishing_session()
    with session:
        row = session.execute("SHOW transaction_timeout").fetchone()
    assert row == ("300ms",)


def expire(kafka: KafkaSettings) -> None:
    """Let the topic lose all that it holds, as its retention does."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topic = topics.coupon_issued(kafka)
    numbers = admin.list_topics(topic, timeout=20).topics[topic].partitions
    for number in numbers:
        patiently(partial(_expire, admin, TopicPartition(topic, number, -1)), 20)


def _expire(admin: AdminClient, partition: TopicPartition) -> None:
    for future in admin.delete_records([partition]).values():
        future.result(20)
