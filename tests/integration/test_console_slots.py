"""What the console tells Prometheus of the slots that relays need: those that are gone as well."""

from collections.abc import Iterator
from functools import partial

import pytest

from firstcome import postgres
from firstcome.console.lag import Lag
from firstcome.console.overview import Overview
from firstcome.console.sampler import Sampler
from firstcome.errors import LogUnavailable
from firstcome.gate.session import GateSession
from firstcome.metrics import catalogue
from firstcome.relay.preparation import Preparation
from firstcome.settings import Settings
from tests.integration.issuing import Issuing
from tests.integration.relays import preparation, slot_of

pytestmark = pytest.mark.integration


@pytest.fixture
def own(settings: Settings) -> Iterator[Settings]:
    """Settings with a slot of this test alone, which is not there yet."""
    with slot_of(settings) as own:
        yield own


@pytest.fixture
def commands(own: Settings) -> Preparation:
    """An operator's commands on that slot."""
    return preparation(own)


def no_log() -> Lag:
    """Kafka is not asked."""
    raise LogUnavailable("not asked")


def lost(settings: Settings) -> dict[str, float]:
    """Return what a look tells of every slot: 1 when it cannot be read."""
    connect = partial(postgres.connect, settings.postgres)
    open_gate = partial(GateSession.open, settings.redis)
    Sampler(Overview(connect, open_gate, no_log), connect, open_gate).run_once()
    return {name: told.now() for (name,), told in catalogue.SLOT_LOST.series.items()}


@pytest.mark.parametrize(
    "harm",
    [
        "SELECT pg_drop_replication_slot('{slot}')",
        "DROP PUBLICATION firstcome_outbox",
        "ALTER PUBLICATION firstcome_events SET (publish = 'insert')",
    ],
    ids=["dropped", "unpublished", "published otherwise"],
)
def test_slot_that_no_relay_can_read_is_told_until_it_is_prepared(
    own: Settings, commands: Preparation, harm: str
) -> None:
    assert lost(own) == {}, "none was made"
    commands.prepare()
    assert lost(own) == {commands.slot: 0}

    with Issuing(own.postgres) as issuing:
        issuing.execute(harm.format(slot=commands.slot))

    assert lost(own) == {commands.slot: 1}
    commands.prepare()
    assert lost(own) == {commands.slot: 0}


def test_slot_that_was_dropped_by_command_is_told_no_more(
    own: Settings, commands: Preparation
) -> None:
    commands.prepare()
    commands.drop()
    assert lost(own) == {}
