"""The report in Markdown: everything but the charts, for a terminal, a review, a repository."""

from collections.abc import Iterator, Sequence

from firstcome.bench.compare.blocks import (
    Bars,
    Block,
    Bullets,
    Charts,
    Code,
    Field,
    Section,
    Table,
    Text,
    Tiles,
)
from firstcome.bench.compare.figures import number

_MARKS = {"good": "✓ ", "bad": "✗ ", "doubt": "? ", "plain": ""}


def page(title: str, subtitle: str, other: tuple[str, str], chapters: Sequence[Section]) -> str:
    """Return the document; `other` is the name and file of the other language's page."""
    head = [f"# {title}", f"{subtitle} · [{other[0]}]({other[1]})"]
    return "\n\n".join([*head, *(part for each in chapters for part in _block(each))]) + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Section():
            yield f"{'#' * block.level} {block.title}"
            for inner in block.blocks:
                yield from _block(inner)
        case Text():
            yield block.text
        case Bullets():
            yield "\n".join(f"- {_MARKS.get(item.tone, '')}{item.text}" for item in block.items)
        case Tiles():
            yield "\n".join(
                f"- **{tile.value}** {tile.title} ({tile.beside})" for tile in block.tiles
            )
        case Table():
            yield from _table(block)
        case Bars():
            yield from _bars(block)
        case Code():
            yield f"```sh\n{block.text}\n```"
        case Charts():
            return


def _table(table: Table) -> Iterator[str]:
    if not table.said:
        yield f"**{table.caption}**"
    align = "---:" if table.kind == "figures" else "---"
    lines = [_line(table.head), _line(["---", *[align] * (len(table.head) - 1)])]
    for group in table.groups:
        if group.title:
            lines.append(_line([f"**{group.title}**", *[" "] * (len(table.head) - 1)]))
        lines += [_line([_head(line[0]), *map(_field, line[1:])]) for line in group.lines]
    yield "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "; ") for cell in cells) + " |"


def _head(field: Field) -> str:
    return f"{field.text} ({field.small})" if field.small else field.text


def _field(field: Field) -> str:
    if field.quiet:
        return f"*{field.text}*"
    return f"{field.text} ({field.small})" if field.small else field.text


def _bars(bars: Bars) -> Iterator[str]:
    yield f"**{bars.title}**, ms"
    lines = [_line(["", "p50", "p95", "p99"]), _line(["---", "---:", "---:", "---:"])]
    lines += [_line([bar.name, *map(number, (bar.p50, bar.p95, bar.p99))]) for bar in bars.bars]
    yield "\n".join(lines)
