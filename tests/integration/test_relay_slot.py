"""Slot and publications: made by a command, and never anew without one."""

from collections.abc import Iterator
from functools import partial

import pytest

from firstcome import postgres
from firstcome.doctor import Doctor, Finding, State
from firstcome.errors import Refused, SlotUnusable
from firstcome.relay import slot as slots
from firstcome.relay.preparation import Preparation
from firstcome.relay.slot import Mode, Server
from firstcome.settings import Settings
from running import eventually
from tests.integration.issuing import Issuing
from tests.integration.relays import slot_of

pytestmark = pytest.mark.integration


@pytest.fixture
def own(settings: Settings) -> Iterator[Settings]:
    """Settings with a slot of this test alone, which is not there yet."""
    with slot_of(settings) as own:
        yield own


@pytest.fixture
def issuing(settings: Settings) -> Iterator[Issuing]:
    """A session."""
    with Issuing(settings.postgres) as issuing:
        yield issuing


def preparation(settings: Settings, mode: Mode = "wal") -> Preparation:
    """Return an operator's commands."""
    return Preparation(settings.relay, mode, partial(postgres.connect, settings.postgres))


def named(settings: Settings, name: str) -> Settings:
    """Return settings with another slot."""
    relay = settings.relay.model_copy(update={"slot": name})
    return settings.model_copy(update={"relay": relay})


def publications(issuing: Issuing) -> list[str]:
    """Return what is published."""
    return issuing.names("SELECT pubname FROM pg_publication ORDER BY 1")


def findings(settings: Settings) -> list[Finding]:
    """Return what the doctor says of slots."""
    every = Doctor(settings).examine()
    about = (
        *("replication slot", "postgres max_slot", "postgres wal_level"),
        "synchronized_standby_slots",
    )
    return [finding for finding in every if finding.subject.startswith(about)]


def test_prepare_makes_what_is_missing_and_nothing_else(own: Settings, issuing: Issuing) -> None:
    commands = preparation(own)
    assert commands.status().state == "never made"

    first, second = commands.prepare(), commands.prepare()

    assert (first.created, first.replaced, second.created) == (True, "", False)
    assert first.publications_made == ["firstcome_events", "firstcome_outbox"]
    assert second.publications_made == []
    status = commands.status()
    assert (status.state, status.failover, status.usable) == ("ready", True, True)
    assert publications(issuing) == ["firstcome_events", "firstcome_outbox"]


def test_debezium_needs_the_events_alone(own: Settings, issuing: Issuing) -> None:
    done = preparation(own, "debezium").prepare()
    assert (done.slot, done.publications_made) == (own.relay.slot, ["firstcome_events"])
    assert publications(issuing) == ["firstcome_events"]


def test_slots_have_a_name_by_mode() -> None:
    relay = Settings().relay
    assert (relay.slot_of("wal"), relay.slot_of("debezium")) == (
        *("firstcome_relay", "firstcome_debezium"),
    )


def test_the_first_slot_is_made_at_a_start_and_a_lost_one_is_not(
    own: Settings, issuing: Issuing
) -> None:
    commands = preparation(own)
    assert commands.prepare_first().created
    assert not commands.prepare_first().created

    issuing.drop_slot(commands.slot)

    with pytest.raises(SlotUnusable, match="is gone: run `firstcome relay prepare`"):
        commands.prepare_first()
    done = commands.prepare()
    assert (done.created, "is gone" in done.replaced) == (True, True)
    assert not commands.prepare_first().created


def test_a_slot_that_was_dropped_by_command_may_be_made_at_a_start(
    own: Settings, issuing: Issuing
) -> None:
    commands = preparation(own)
    commands.prepare()
    assert commands.drop()
    assert not commands.drop()
    assert publications(issuing) == []
    assert commands.prepare_first().created


def test_publications_stay_while_another_slot_needs_them(own: Settings, issuing: Issuing) -> None:
    other = named(own, f"{own.relay.slot}_other")
    try:
        preparation(own).prepare()
        preparation(other, "debezium").prepare()
        preparation(own).drop()
        assert publications(issuing) == ["firstcome_events"]
        preparation(other, "debezium").drop()
        assert publications(issuing) == []
    finally:
        issuing.drop_slot(f"{own.relay.slot}_other")


@pytest.mark.parametrize(
    "harm",
    [
        "DROP PUBLICATION firstcome_outbox",
        "ALTER PUBLICATION firstcome_events SET (publish = 'insert')",
        "ALTER PUBLICATION firstcome_events SET (publish_generated_columns = none)",
        "ALTER PUBLICATION firstcome_events SET TABLE issuances",
        "ALTER PUBLICATION firstcome_outbox ADD TABLE campaigns",
    ],
)
def test_a_slot_without_its_publications_is_replaced(
    own: Settings, issuing: Issuing, harm: str
) -> None:
    commands = preparation(own)
    commands.prepare()
    issuing.execute(harm)

    assert commands.status().state == "unpublished"
    with pytest.raises(SlotUnusable, match="has no publication firstcome_"):
        commands.prepare_first()
    assert commands.prepare().created
    assert commands.status().state == "ready"


def test_a_slot_whose_log_was_removed_is_lost_until_it_is_prepared(
    own: Settings, issuing: Issuing
) -> None:
    commands = preparation(own)
    commands.prepare()
    issuing.execute("ALTER SYSTEM SET idle_replication_slot_timeout = '1s'")
    try:
        issuing.execute("SELECT pg_reload_conf()")
        issuing.until(lambda: _is_lost(commands, issuing))
    finally:
        issuing.execute("ALTER SYSTEM RESET idle_replication_slot_timeout")
        issuing.execute("SELECT pg_reload_conf()")

    with pytest.raises(SlotUnusable, match=r"is lost .*: run `firstcome relay prepare`"):
        slots.usable(commands.status())
    (finding,) = [each for each in findings(own) if each.subject.startswith("replication slot")]
    assert (finding.state, finding.advice) == (State.FAILURE, "run `firstcome relay prepare`")
    done = commands.prepare()
    assert (done.created, "is lost" in done.replaced) == (True, True)


def _is_lost(commands: Preparation, issuing: Issuing) -> bool:
    # The server looks at slots when it makes a checkpoint.
    issuing.execute("CHECKPOINT")
    return commands.status().state == "lost"


def test_a_slot_of_another_database_is_left_alone(
    own: Settings, issuing: Issuing, engines: Settings
) -> None:
    slot = own.relay.slot_of("wal")
    with Issuing(engines.postgres) as elsewhere:
        elsewhere.execute(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    commands = preparation(own)
    for command in (commands.prepare, commands.drop):
        with pytest.raises(Refused, match=r"is of database .* set relay\.slot"):
            command()
    with pytest.raises(SlotUnusable, match=r"set relay\.slot to another name"):
        commands.prepare_first()
    assert commands.status().state == "foreign"


def test_a_server_that_logs_too_little_is_named(
    own: Settings, issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "server", lambda _: Server("replica", -1, 18))
    with pytest.raises(Refused, match="ALTER SYSTEM SET wal_level = 'logical'"):
        preparation(own).prepare()
    assert publications(issuing) == []
    found = {finding.subject: finding for finding in findings(own)}
    assert found["postgres wal_level"].state is State.FAILURE
    assert found["postgres max_slot_wal_keep_size"].state is State.WARNING


def test_doctor_says_how_the_slot_is(own: Settings, issuing: Issuing) -> None:
    slot = own.relay.slot_of("wal")
    subject = f"replication slot {slot}"

    def state() -> tuple[State, str]:
        (found,) = [each for each in findings(own) if each.subject == subject]
        return found.state, found.advice

    assert state() == (State.FAILURE, "run `firstcome relay prepare`")
    preparation(own).prepare()
    assert state() == (State.WARNING, "start `firstcome serve relay`")
    publications_of = slots.PUBLICATIONS["wal"]
    stream = postgres.ReplicationStream(own.postgres, slot, publications_of, name="test-doctor")
    assert state() == (State.OK, "")
    stream.close()


def test_doctor_names_slots_that_nobody_needs(own: Settings, settings: Settings) -> None:
    assert findings(settings) == []
    preparation(own).prepare()
    bound, slot = findings(settings)
    assert (bound.state, slot.state) == (State.OK, State.WARNING)
    assert slot.advice == "run `firstcome relay drop --mode wal`"


def test_doctor_warns_before_a_slot_is_lost(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    preparation(own).prepare()
    with Issuing(own.postgres) as issuing:
        issuing.execute("CREATE TABLE others AS SELECT generate_series(1, 20000)")
    monkeypatch.setattr(slots, "server", lambda _: Server("logical", 2**20, 18))
    slot = findings(own)[-1]
    assert (slot.state, "max_slot_wal_keep_size is 1 MiB" in slot.seen) == (State.WARNING, True)


def test_doctor_names_a_standby_that_holds_the_relay_up(own: Settings, issuing: Issuing) -> None:
    preparation(own).prepare()
    settings = own.model_copy(update={"relay": own.relay.model_copy(update={"mode": "wal"})})
    standby = f"standby_{own.relay.slot}"[:60]

    def seen() -> list[tuple[State, str]]:
        about = f"synchronized_standby_slots: {standby}"
        return [(each.state, each.seen) for each in findings(settings) if each.subject == about]

    assert seen() == []
    with postgres.connect(own.postgres) as session:
        session.autocommit = True
        session.execute("SELECT pg_create_physical_replication_slot(%s)", [standby])
        try:
            session.execute(f"ALTER SYSTEM SET synchronized_standby_slots = '{standby}'")
            session.execute("SELECT pg_reload_conf()")
            eventually(
                "it is named", seen, lambda found: found == [(State.FAILURE, "nobody reads it")]
            )
            session.execute("SELECT pg_drop_replication_slot(%s)", [standby])
            ((state, words),) = seen()
            assert state is State.FAILURE
            assert "no such slot" in words
        finally:
            session.execute("ALTER SYSTEM RESET synchronized_standby_slots")
            session.execute("SELECT pg_reload_conf()")
    eventually("it is not named any more", seen, lambda found: not found)
