"""The chapter of results: for each scenario and generator a table of all rows, waiting times as
bars, and the course over time.

No cell is empty: a value with its spread, or the reason why there is none, which a note below the
table explains.
"""

from collections.abc import Iterator, Sequence

from firstcome.bench.compare.blocks import (
    Bar,
    Bars,
    Block,
    Charts,
    Field,
    Group,
    Section,
    Table,
    Text,
)
from firstcome.bench.compare.curves import charts
from firstcome.bench.compare.figures import UNITLESS, said
from firstcome.bench.compare.grid import Cell, Grid
from firstcome.bench.compare.missing import Missing
from firstcome.bench.compare.reader import Reader
from firstcome.bench.compare.row import Row
from firstcome.bench.compare.rows import GROUPS, ROWS
from firstcome.bench.compare.told import System
from firstcome.bench.run import Run

# The source's figures for p95, drawn beside ours: Redis + Kafka in two tables, single service.
SOURCE_MARKS = ((System.KAFKA, 60.0), (System.KAFKA, 210.0), (System.SINGLE, 450.0))
SOURCE = "source"


def sections(grid: Grid, reader: Reader) -> list[Block]:
    """Return one section a scenario."""
    if not grid.scenarios:
        return [Text(reader["detail.nothing"])]
    return [
        Section(
            3,
            f"scenario-{scenario}",
            scenario,
            [Text(reader.scenario(scenario)), *_scenario(grid, scenario, reader)],
        )
        for scenario in grid.scenarios
    ]


def _scenario(grid: Grid, scenario: str, reader: Reader) -> Iterator[Block]:
    for generator in grid.generators(scenario):
        yield from _bars(grid, scenario, generator, reader)
        caption = reader.say("detail.caption", scenario=scenario, generator=generator)
        yield from table(grid, scenario, generator, reader, ROWS, caption)
        yield from _charts(grid, scenario, generator, reader)


def table(
    grid: Grid,
    scenario: str,
    generator: str,
    reader: Reader,
    rows: Sequence[Row],
    caption: str,
) -> Iterator[Block]:
    """Yield a table of rows by engines, and the note that explains its reasons."""
    reasons: dict[Missing, None] = {}
    groups = []
    for group in GROUPS:
        lines = []
        for row in rows:
            if row.group != group:
                continue
            cells = [grid.cell(row, scenario, generator, engine) for engine in grid.engines]
            reasons |= dict.fromkeys(cell.missing for cell in cells if cell.missing)
            lines.append([head(row, reader), *(field(cell, row, reader) for cell in cells)])
        if lines:
            groups.append(Group(reader[f"group.{group}"], lines))
    yield Table(caption, [reader["detail.row"], *grid.engines], groups)
    yield Text(_note(grid, scenario, generator, reader, list(reasons)), "note")


def head(row: Row, reader: Reader) -> Field:
    """Return the head of a row: its title, and the unit behind it."""
    unit = "" if row.unit in UNITLESS else reader.unit(row)
    return Field(reader.title(row), unit)


def field(cell: Cell, row: Row, reader: Reader) -> Field:
    """Return a cell: the median and the spread, or the reason."""
    if cell.median is None:
        return Field(reader[f"missing.{cell.missing}"], quiet=True)
    if row.unit == "held":
        return Field(reader["held.yes" if cell.least else "held.no"])
    least, most = said(cell.least, row.unit), said(cell.most, row.unit)
    return Field(said(cell.median, row.unit), f"{least}–{most}" if least != most else "")


def _note(grid: Grid, scenario: str, generator: str, reader: Reader, reasons: list[Missing]) -> str:
    counts = {engine: len(grid.runs(scenario, generator, engine)) for engine in grid.engines}
    listed = ", ".join(f"{engine} {count}" for engine, count in counts.items())
    parts = [reader.say("detail.repetitions", listed=listed) + "."]
    if reasons:
        long = "; ".join(
            f"**{reader[f'missing.{reason}']}**: {reader[f'missing.{reason}.long']}"
            for reason in reasons
        )
        parts.append(reader.say("detail.missing", listed=long) + ".")
    return " ".join(parts)


def _bars(grid: Grid, scenario: str, generator: str, reader: Reader) -> Iterator[Block]:
    """Yield bars of waiting times, from the medians of the repetitions."""
    marks = [
        (reader.say("bars.mark", system=reader[f"system.{system}"], figure=f"{figure:.0f}"), figure)
        for system, figure in SOURCE_MARKS
        if scenario == SOURCE
    ]
    for prefix, title in (("http", "bars.http"), ("issued", "bars.issued")):
        rows = [
            row for part in ("med", "p95", "p99") for row in ROWS if row.key == f"{prefix}_{part}"
        ]
        bars = []
        for engine in grid.engines:
            cells = [grid.cell(row, scenario, generator, engine).median for row in rows]
            values = [value for value in cells if value is not None]
            if len(values) == len(cells):
                bars.append(Bar(engine, *values))
        if bars:
            of = reader.say("detail.caption", scenario=scenario, generator=generator)
            shown = marks if prefix == "http" else []
            yield Bars(f"{reader[title]}: {of}", reader["bars.scale"], bars, shown)


def _charts(grid: Grid, scenario: str, generator: str, reader: Reader) -> Iterator[Block]:
    found: dict[str, Run] = {}
    for engine in grid.engines:
        run = grid.typical(scenario, generator, engine)
        if run is not None and run.samples:
            found[engine] = run
    if not found:
        return
    listed = ", ".join(f"`{engine}` #{run.repetition}" for engine, run in found.items())
    caption = reader.say("detail.caption", scenario=scenario, generator=generator)
    yield Charts(
        f"{reader['charts.title']}: {caption}",
        list(charts(found, reader.words)),
        reader.say("charts.note", listed=listed),
        opened=grid.scenarios[0] == scenario and grid.generators(scenario)[0] == generator,
        words=reader.part("charts."),
    )
