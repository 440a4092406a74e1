"""What is compared: each engine, and each variant of one, by the name of its column.

A fourth engine is one more line here.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from firstcome.model import Engine


class Column(NamedTuple):
    """An engine with the settings that make the variant; environment variables of the stack."""

    name: str
    engine: Engine
    settings: Mapping[str, str]
    parts: Sequence[str]  # the roles that it needs; a stack runs all of them


_DIRECT = ("api", "postgres")
_GATE = ("api", "postgres", "redis", "recorder", "sweeper")
COLUMNS = (
    Column("direct", Engine.DIRECT, {}, _DIRECT),
    Column(
        "direct-conditional",
        Engine.DIRECT,
        {"FIRSTCOME_DIRECT__VARIANT": "conditional"},
        _DIRECT,
    ),
    Column("queue", Engine.QUEUE, {}, _GATE),
    Column("kafka", Engine.KAFKA, {}, (*_GATE, "kafka")),
)
BY_NAME = {column.name: column for column in COLUMNS}
