"""The report as blocks: the same for both languages and both kinds of page.

chapters.py and detail.py make them, page_md.py and page_html.py write them. Text may hold
`code` and **bold**, nothing else.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Text(NamedTuple):
    """A paragraph."""

    text: str
    kind: str = ""  # "note": small print


class Item(NamedTuple):
    """One of a list; `tone` says how it is to be read."""

    text: str
    tone: str = ""


class Bullets(NamedTuple):
    """A list."""

    items: Sequence[Item]


class Field(NamedTuple):
    """One cell of a table. `quiet`: a reason instead of a value."""

    text: str
    small: str = ""
    quiet: bool = False


class Group(NamedTuple):
    """Lines of a table under a title of their own, or under none. The first field is the head."""

    title: str
    lines: Sequence[Sequence[Field]]


class Table(NamedTuple):
    """A table. `kind`: "figures" for columns of numbers, "words" for columns of text.

    `said`: the caption is already said by the heading above, and only for who cannot see that.
    """

    caption: str
    head: Sequence[str]
    groups: Sequence[Group]
    kind: str = "figures"
    said: bool = False


class Tile(NamedTuple):
    """One figure, large, with what it is and what it stands beside."""

    value: str
    title: str
    beside: str
    tone: str = ""


class Tiles(NamedTuple):
    """The few figures that matter most."""

    tiles: Sequence[Tile]


class Bar(NamedTuple):
    """How long things took for one engine, in milliseconds."""

    name: str
    p50: float
    p95: float
    p99: float


class Bars(NamedTuple):
    """Waiting times side by side, on one logarithmic scale; `marks` are the source's figures."""

    title: str
    scale: str
    bars: Sequence[Bar]
    marks: Sequence[tuple[str, float]]


class Series(NamedTuple):
    """One line of a chart: a value for each of its seconds, or None."""

    name: str
    colour: str  # of the palette in assets/page.css
    values: Sequence[float | None]


class Chart(NamedTuple):
    """Lines over the seconds since the load began. `top` sets the scale, None lets it fit.

    `of`: the engine, where a chart is of one alone.
    """

    title: str
    unit: str
    seconds: Sequence[int]
    series: Sequence[Series]
    top: float | None = None
    of: str = ""


class Charts(NamedTuple):
    """Charts that belong together, with the words that their tables need."""

    title: str
    charts: Sequence[Chart]
    note: str
    opened: bool
    words: dict[str, str]


class Code(NamedTuple):
    """Commands, as typed."""

    text: str


class Section(NamedTuple):
    """A heading of a level from 2 on, and what stands under it."""

    level: int
    anchor: str
    title: str
    blocks: Sequence["Block"]


Block = Text | Bullets | Table | Tiles | Bars | Charts | Code | Section
