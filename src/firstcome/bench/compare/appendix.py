"""What follows the conclusion: the machine, its noise, how to repeat it. The source lacked it."""

from collections.abc import Sequence

from firstcome.bench.compare.blocks import (
    Block,
    Bullets,
    Code,
    Field,
    Group,
    Item,
    Section,
    Table,
    Text,
)
from firstcome.bench.compare.figures import number
from firstcome.bench.compare.grid import Grid
from firstcome.bench.compare.reader import Reader
from firstcome.bench.run import Loss, Run


def machine(grid: Grid, reader: Reader) -> list[Block]:
    """Return what the figures were measured with."""
    comparison = grid.comparison
    head = [reader["machine.item"], reader["machine.value"]]
    lines = [[Field(reader.item(name)), Field(value)] for name, value in _environment(grid).items()]
    lines.append([Field("commit"), Field(comparison.commit)])
    setup = [[Field(reader.item(name)), Field(value)] for name, value in _setup(grid, reader)]
    groups = [Group("", lines)]
    if setup:
        groups.append(Group(reader["machine.setup"], setup))
    return [Table(reader["machine"], head, groups, "words", said=True)]


def _environment(grid: Grid) -> dict[str, str]:
    """Return the machine's facts, and those that only runs know."""
    found = dict(grid.comparison.environment)
    for run in grid.comparison.runs:
        for name, value in run.environment.items():
            found.setdefault(name, value)
    return found


def _setup(grid: Grid, reader: Reader) -> list[tuple[str, str]]:
    values: dict[str, list[str]] = {}
    for run in grid.comparison.runs:
        for name, value in run.setup.items():
            if name in ("scenario", "before"):
                continue  # the chapter on the set-up shows the scenarios, in the order of a stack
            seen = values.setdefault(name, [])
            if value not in seen:
                seen.append(value)
    return [
        (
            name,
            seen[0] if len(seen) == 1 else reader.say("machine.setup.some", listed=", ".join(seen)),
        )
        for name, seen in values.items()
    ]


def noise(grid: Grid, reader: Reader) -> list[Block]:
    """Return who else used the machine, engine by engine, and what the runs noted."""
    words = ("runs", "steal", "others", "calibration")
    head = [reader["choose.engine"], *(reader[f"noise.{word}"] for word in words)]
    lines = []
    for engine in grid.engines:
        runs = [run for run in grid.comparison.runs if run.engine == engine]
        lines.append([Field(engine), Field(f"{len(runs):,}"), *_disturbed(runs, reader)])
    blocks: list[Block] = [
        Text(reader["noise.text"]),
        Table(reader["noise"], head, [Group("", lines)], said=True),
    ]
    notes = [
        Item(f"`{run.engine}` {run.scenario} {run.load.generator} #{run.repetition}: {note}")
        for run in grid.comparison.runs
        for note in run.notes
    ]
    return [*blocks, Text(reader["noise.notes"]), Bullets(notes)] if notes else blocks


def _disturbed(runs: list[Run], reader: Reader) -> list[Field]:
    shares = [
        max((share for share in shares if share is not None), default=None)
        for shares in ([run.steal_percent for run in runs], [run.others_percent for run in runs])
    ]
    fields = [
        Field(reader["noise.unknown"], quiet=True) if share is None else Field(number(share))
        for share in shares
    ]
    times = [run.calibration_ms for run in runs if run.calibration_ms > 0]
    if not times:
        return [*fields, Field(reader["noise.unknown"], quiet=True)]
    return [*fields, Field(f"{number(min(times))}–{number(max(times))}")]


def losses(found: Sequence[Loss], reader: Reader) -> list[Block]:
    """Return what a Redis that lost its machine cost, if that was tried."""
    if not found:
        return []
    words = ("fsync", "recorders", "promised", "lost", "moved", "resumed")
    head = [reader["choose.engine"], *(reader[f"losses.{word}"] for word in words)]
    lines = [
        [
            Field(each.engine),
            Field(each.fsync),
            Field(reader.words.get(f"losses.{each.recorders}", each.recorders)),
            *(Field(f"{count:,}") for count in (each.promised, each.lost, each.moved)),
            Field(reader["losses.never"], quiet=True)
            if each.resumed_seconds is None
            else Field(number(each.resumed_seconds)),
        ]
        for each in found
    ]
    table = Table(reader["losses"], head, [Group("", lines)], said=True)
    blocks: list[Block] = [Text(reader["losses.text"]), table]
    broken = [
        Item(f"`{each.engine}` {each.fsync}: {'; '.join(each.broken)}", "bad")
        for each in found
        if each.broken
    ]
    return [
        Section(3, "losses", reader["losses"], [*blocks, *([Bullets(broken)] if broken else [])])
    ]


def repeat(grid: Grid, reader: Reader, data_name: str) -> list[Block]:
    """Return the command."""
    quick = " --quick" if grid.comparison.quick else ""
    return [
        Text(reader["repeat.text"]),
        Code(f"firstcome bench compare{quick} --repetitions {grid.comparison.repetitions}"),
        Text(reader.say("repeat.data", name=data_name)),
    ]
