"""What is compared: each engine, and each variant of one, by the name of its column."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from firstcome.model import Engine


class Column(NamedTuple):
    """An engine with the settings that make the variant; environment variables of the stack."""

    name: str
    engine: Engine
    settings: Mapping[str, str]
    parts: Sequence[str]  # the roles that it needs; a stack runs all of them


VARIANTS = {
    Engine.DIRECT: {"direct-conditional": {"FIRSTCOME_DIRECT__VARIANT": "conditional"}},
}


def _columns() -> Iterator[Column]:
    for engine in Engine:
        gate = ("redis", "recorder", "sweeper") if engine.has_gate else ()
        parts = ("api", "postgres", *gate, *(("kafka",) if engine.has_topic else ()))
        yield Column(engine.value, engine, {}, parts)
        for name, settings in VARIANTS.get(engine, {}).items():
            yield Column(name, engine, settings, parts)


COLUMNS = tuple(_columns())
BY_NAME = {column.name: column for column in COLUMNS}


def has_gate(name: str) -> bool:
    """Whether the claims of a column pass through a gate; a column of another version's, too."""
    column = BY_NAME.get(name)
    return column is None or column.engine.has_gate
