"""What is compared: each engine, and each variant of one, by the name of its column.

A fourth engine is one more line here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from firstcome.model import Engine


class Column(NamedTuple):
    """An engine with the settings that make the variant; environment variables of the stack."""

    name: str
    engine: Engine
    settings: Mapping[str, str]


COLUMNS = (
    Column("direct", Engine.DIRECT, {}),
    Column("direct-conditional", Engine.DIRECT, {"FIRSTCOME_DIRECT__VARIANT": "conditional"}),
    Column("queue", Engine.QUEUE, {}),
    Column("kafka", Engine.KAFKA, {}),
)
BY_NAME = {column.name: column for column in COLUMNS}
