"""The report from its overview to how to repeat it, as blocks: the structure of the source's
report, and after its conclusion what it lacked.

Pure: the same comparison always gives the same report.
"""

from collections.abc import Sequence

from firstcome.bench.compare import appendix, detail
from firstcome.bench.compare.blocks import (
    Block,
    Bullets,
    Field,
    Group,
    Item,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
)
from firstcome.bench.compare.figures import number
from firstcome.bench.compare.finding import Topic
from firstcome.bench.compare.grid import Grid
from firstcome.bench.compare.reader import Reader
from firstcome.bench.compare.row import Row
from firstcome.bench.compare.rows import BY_KEY, GROUPS, KEY_ROWS, ROWS
from firstcome.bench.compare.verdict import SOURCE, Ratio, against_source, verdict
from firstcome.bench.run import BUILT_IN
from firstcome.bench.scenarios import BY_NAME, Scenario

ASPECTS = ("way", "parts", "answer", "decides", "limit", "failure", "operation")


def chapters(grid: Grid, reader: Reader, data_name: str) -> list[Section]:
    """Return every chapter, numbered."""
    made: list[tuple[str, Sequence[Block]]] = [
        ("overview", _overview(grid, reader)),
        ("purpose", [_bullets(reader, "purpose", 4)]),
        ("architectures", [_architectures(grid, reader)]),
        ("setup", _setup(grid, reader)),
        ("key", _key(grid, reader)),
        ("detail", detail.sections(grid, reader)),
        ("conclusion", _conclusion(grid, reader)),
        ("machine", appendix.machine(grid, reader)),
        ("noise", appendix.noise(grid, reader)),
        ("limits", [_bullets(reader, "limits", 5)]),
        ("repeat", appendix.repeat(grid, reader, data_name)),
    ]
    return [
        Section(2, anchor, f"{number}. {reader[anchor]}", blocks)
        for number, (anchor, blocks) in enumerate(made, 1)
    ]


def _bullets(reader: Reader, key: str, count: int) -> Bullets:
    return Bullets([Item(reader[f"{key}.{number}"]) for number in range(1, count + 1)])


def _overview(grid: Grid, reader: Reader) -> list[Block]:
    text = reader.say("overview.text", runs=f"{len(grid.comparison.runs):,}")
    return [Text(text), Text(reader["overview.source"]), Tiles(_tiles(grid, reader))]


def _tiles(grid: Grid, reader: Reader) -> list[Tile]:
    ratios = [_ratio_tile(grid, reader, engine) for engine in ("kafka", "queue")]
    return [*ratios, _p95_tile(grid, reader), _wrong_tile(grid, reader)]


def _ratio_tile(grid: Grid, reader: Reader, engine: str) -> Tile:
    ratio = Ratio(grid, engine, "direct")
    title = reader.say("tile.ratio", engine=engine, base="direct")
    beside = reader["tile.ratio.beside"]
    if not ratio.known:
        return Tile("–", title, f"{reader['tile.none']} · {beside}", "doubt")
    return Tile(f"{number(ratio.middle)}×", title, beside, ratio.tone)


def _p95_tile(grid: Grid, reader: Reader) -> Tile:
    cell = grid.cell(BY_KEY["http_p95"], SOURCE, BUILT_IN, "kafka")
    title, beside = reader.say("tile.p95", engine="kafka"), reader["tile.p95.beside"]
    if cell.median is None:
        return Tile("–", title, f"{reader['tile.none']} · {beside}", "doubt")
    return Tile(f"{number(cell.median)} ms", title, beside, against_source(cell)[1])


def _wrong_tile(grid: Grid, reader: Reader) -> Tile:
    outcomes = [run.outcome for run in grid.comparison.runs]
    wrong = sum(each.lost + each.doubled + each.oversold + each.unsold for each in outcomes)
    issued = f"{sum(each.issued for each in outcomes):,}"
    tone = "bad" if wrong else "good" if outcomes else "doubt"
    beside = reader.say("tile.wrong.beside", issued=issued)
    return Tile(f"{wrong:,}" if outcomes else "–", reader["tile.wrong"], beside, tone)


def _architectures(grid: Grid, reader: Reader) -> Table:
    engines = [name for name in grid.engines if f"arch.way.{name}" in reader.words]
    lines = [
        [
            Field(reader[f"arch.{aspect}"]),
            *(Field(reader[f"arch.{aspect}.{engine}"]) for engine in engines),
        ]
        for aspect in ASPECTS
    ]
    head = [reader["architectures.item"], *engines]
    return Table(reader["architectures"], head, [Group("", lines)], "words", said=True)


def _setup(grid: Grid, reader: Reader) -> list[Block]:
    repetitions = str(grid.comparison.repetitions)
    words = ("scenario", "offer", "users", "arrivals", "vus", "says")
    quick = grid.comparison.quick
    lines = [_scenario(name, reader, quick=quick) for name in grid.scenarios]
    table = Table(
        reader["setup.scenarios"],
        [reader[f"setup.{word}"] for word in words],
        [Group("", lines)],
        "words",
        said=True,
    )
    says = reader.say("setup.repetitions", repetitions=repetitions)
    return [Text(reader["setup.generators"]), Text(says), table]


def _scenario(name: str, reader: Reader, *, quick: bool) -> list[Field]:
    scenario = BY_NAME.get(name)
    if scenario is None:
        unknown = Field(reader["setup.unknown"], quiet=True)
        return [Field(name), *([unknown] * 4), Field(reader.scenario(name))]
    if quick and not scenario.saturating:
        scenario = scenario.shortened()
    return [
        Field(name),
        *_offer(scenario, reader),
        Field(_k6(scenario, reader)),
        Field(reader.scenario(name)),
    ]


def _offer(scenario: Scenario, reader: Reader) -> list[Field]:
    """Return coupons, users and how they arrive; a saturating crowd has the size of its engine."""
    if scenario.saturating:
        users = f"{scenario.connections:,}"
        sized = Field(reader["setup.sized"])
        return [sized, sized, Field(reader.say("setup.unthrottled", users=users))]
    arrivals = scenario.arrivals
    first, last = f"{arrivals.rate_first:,.0f}", f"{arrivals.rate_last:,.0f}"
    return [
        Field(f"{scenario.campaigns} × {scenario.coupons:,}"),
        Field(f"{scenario.users:,}"),
        Field(reader.say(f"arrivals.{arrivals.shape}", first=first, last=last)),
    ]


def _k6(scenario: Scenario, reader: Reader) -> str:
    if not scenario.virtual_users:
        return reader["setup.vus.none"]
    users, seconds = f"{scenario.virtual_users:,}", f"{scenario.virtual_seconds:.0f}"
    return reader.say("setup.vus.value", users=users, seconds=seconds)


def _key(grid: Grid, reader: Reader) -> list[Block]:
    """Return the rows that matter most beside the source's figures, then all others it has."""
    blocks: list[Block] = [Text(reader["key.text"])]
    if SOURCE not in grid.scenarios:
        blocks.append(Text(reader["key.none"]))
    shown = [row for row in ROWS if row.key in KEY_ROWS or row.told]
    for generator in grid.generators(SOURCE) or [BUILT_IN]:
        groups = [
            Group(
                reader[f"group.{group}"],
                [_key_line(grid, reader, row, generator) for row in shown if row.group == group],
            )
            for group in GROUPS
        ]
        head = [reader["detail.row"], *grid.engines, reader["key.source"]]
        blocks.append(Table(reader.say("key.caption", generator=generator), head, groups))
    return [*blocks, Text(reader["place.legend"], "note")]


def _key_line(grid: Grid, reader: Reader, row: Row, generator: str) -> list[Field]:
    cells = [grid.cell(row, SOURCE, generator, engine) for engine in grid.engines]
    return [
        detail.head(row, reader),
        *(detail.field(cell, row, reader) for cell in cells),
        _source(row, reader),
    ]


def _source(row: Row, reader: Reader) -> Field:
    """Return everything that the source says of a row, each figure with its place."""
    if not row.told:
        return Field(reader["source.lacks"], quiet=True)
    systems: dict[str, dict[str, list[str]]] = {}
    for each in row.told:
        figures = systems.setdefault(reader[f"system.{each.system}"], {})
        figures.setdefault(reader.told(each), []).append(reader[f"place.{each.place}"])
    return Field(
        "\n".join(
            f"{system} "
            + " / ".join(f"**{figure}** [{', '.join(places)}]" for figure, places in told.items())
            for system, told in systems.items()
        )
    )


def _conclusion(grid: Grid, reader: Reader) -> list[Block]:
    findings = verdict(grid)
    blocks: list[Block] = []
    for topic in Topic:
        items = [
            Item(reader.sentence(found), str(found.tone))
            for found in findings
            if found.topic == topic
        ]
        if items:
            title = reader[f"topic.{topic}"]
            blocks.append(Section(3, f"verdict-{topic}", title, [Bullets(items)]))
    blocks += appendix.losses(grid.comparison.losses, reader)
    engines = [name for name in grid.engines if f"choose.{name}" in reader.words]
    lines = [[Field(engine), Field(reader[f"choose.{engine}"])] for engine in engines]
    head = [reader["choose.engine"], reader["choose.when"]]
    table = Table(reader["choose"], head, [Group("", lines)], "words", said=True)
    return [*blocks, Section(3, "choose", reader["choose"], [table])]
