"""Engines: what is told of each, by one list, and what a version says of one it does not know."""

import msgspec
import pytest

from firstcome.bench.columns import BY_NAME, COLUMNS, has_gate
from firstcome.campaigns.rows import GATED, engine_of
from firstcome.errors import LaterVersion
from firstcome.model import Engine
from firstcome.processes.api import check_complete

pytestmark = pytest.mark.unit


def test_an_engine_is_its_name_with_what_is_true_of_it() -> None:
    told = {engine.value: (engine.has_gate, engine.has_topic) for engine in Engine}
    assert told == {"direct": (False, False), "queue": (True, False), "kafka": (True, True)}
    for engine in Engine:
        assert Engine(engine.value) is engine is engine_of(str(engine))
        assert msgspec.json.decode(msgspec.json.encode(engine), type=Engine) is engine
    assert GATED == ("queue", "kafka")


def test_an_engine_of_another_version_is_named() -> None:
    with pytest.raises(LaterVersion, match="'pigeon', which this version"):
        engine_of("pigeon")


def test_an_api_without_a_way_for_some_engine_does_not_start() -> None:
    ways = dict.fromkeys(Engine, None)
    check_complete(ways)
    del ways[Engine.QUEUE]
    with pytest.raises(NotImplementedError, match="queue"):
        check_complete(ways)


def test_every_engine_is_compared_with_the_parts_it_needs() -> None:
    assert {column.engine for column in COLUMNS} == set(Engine)
    assert list(BY_NAME) == ["direct", "direct-conditional", "queue", "kafka"]
    gate = ("api", "postgres", "redis", "recorder", "sweeper")
    assert BY_NAME["direct-conditional"].parts == BY_NAME["direct"].parts == ("api", "postgres")
    assert BY_NAME["queue"].parts == gate
    assert BY_NAME["kafka"].parts == (*gate, "kafka")
    assert [name for name in BY_NAME if not has_gate(name)] == ["direct", "direct-conditional"]
    assert has_gate("pigeon")  # of a report that another version made
