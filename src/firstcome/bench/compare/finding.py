"""What a verdict is made of: findings, each a rule's result with the figures that bear it.

A finding names its sentence (`verdict.<key>` in the words of each language) and hands over its
figures already written, so that both languages say the same.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from firstcome.bench.compare.figures import number, with_unit
from firstcome.bench.compare.grid import Cell
from firstcome.bench.compare.row import Row


class Tone(StrEnum):
    """How it is to be read."""

    GOOD = "good"
    BAD = "bad"
    PLAIN = "plain"
    DOUBT = "doubt"  # the data do not carry a judgement


class Topic(StrEnum):
    """Under which heading it stands; in the order of the report."""

    SPEED = "speed"
    ANSWERS = "answers"
    CORRECTNESS = "correctness"
    DIRECT = "direct"
    PRICE = "price"  # of Kafka beside queue
    NOISE = "noise"


class Finding(NamedTuple):
    """One sentence. `row` is the key of the row whose title the sentence names as {row}."""

    topic: Topic
    key: str
    tone: Tone = Tone.PLAIN
    figures: dict[str, str] = {}  # noqa: RUF012 - never changed
    row: str = ""


def told(cell: Cell, row: Row) -> str:
    """Write a cell for running text: the median with its unit, and the spread behind it."""
    if cell.median is None:
        return "-"
    return with_unit(cell.median, row.unit) + spread(cell)


def spread(cell: Cell) -> str:
    """Write the spread of a cell in brackets; nothing for a single repetition."""
    least, most = number(cell.least), number(cell.most)
    return f" ({least}–{most})" if least != most else ""


def names(engines: Sequence[str]) -> str:
    """Write engines as a list."""
    return ", ".join(f"`{engine}`" for engine in engines)
