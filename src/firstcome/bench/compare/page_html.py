"""The report as one HTML file: styles, script, charts' library and data inside, no network.

It is complete without its script: every chart has a table of its figures beside it. assets/
holds the style, the script and the library; a policy in the page's head forbids it to load
anything.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template

import msgspec

from firstcome.bench.compare import html_figures as figures
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
from firstcome.bench.compare.reader import LANGUAGES, Reader

ASSETS = files("firstcome.bench.compare") / "assets"


def asset(name: str) -> str:
    """Return the text of a file of assets/."""
    return (ASSETS / name).read_text(encoding="utf-8")


def page(reader: Reader, subtitle: str, other: tuple[str, str], chapters: Sequence[Section]) -> str:
    """Return the document; `other` is the name and file of the other language's page."""
    writer = _Writer(reader)
    body = "\n".join(part for chapter in chapters for part in writer.block(chapter))
    links = "".join(
        f'<li><a href="#{chapter.anchor}">{escape(chapter.title)}</a></li>' for chapter in chapters
    )
    (other_language,) = (each for each in LANGUAGES if each != reader.language)
    return Template(asset("page.html")).substitute(
        lang=reader.language,
        title=escape(reader["title"]),
        subtitle=inline(subtitle),
        skip=escape(reader["skip"]),
        contents=escape(reader["contents"]),
        links=links,
        other=escape(other[0]),
        other_file=escape(other[1], quote=True),
        other_lang=other_language,
        style=asset("uPlot.min.css") + asset("page.css"),
        body=body,
        data=_embedded(writer.data),
        library=asset("uPlot.iife.min.js"),
        script=asset("page.js"),
    )


def inline(text: str) -> str:
    """Return text as HTML, with its `code` and **bold**."""
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", shown)


def _embedded(data: object) -> str:
    """Return data as JSON that cannot end the script element in which it stands."""
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")


class _Writer:
    """Writes blocks; what charts draw is gathered in `data`, by their number."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.data: list[dict[str, object]] = []

    def block(self, block: Block) -> Iterator[str]:
        """Yield the parts of a block."""
        match block:
            case Section():
                yield from self._section(block)
            case Text():
                kind = f' class="{block.kind}"' if block.kind else ""
                yield f"<p{kind}>{inline(block.text)}</p>"
            case Bullets():
                yield from _bullets(block)
            case Tiles():
                yield from figures.tiles(block, inline)
            case Table():
                yield from _table(block)
            case Bars():
                yield from figures.bars(
                    block, self._reader["bars.engine"], self._reader["bars.marks"]
                )
            case Code():
                yield f'<pre tabindex="0"><code>{escape(block.text)}</code></pre>'
            case Charts():
                yield from figures.charts(block, self.data)

    def _section(self, section: Section) -> Iterator[str]:
        level = section.level
        yield f'<section id="{escape(section.anchor, quote=True)}">'
        yield f"<h{level}>{inline(section.title)}</h{level}>"
        for inner in section.blocks:
            yield from self.block(inner)
        yield "</section>"


def _bullets(bullets: Bullets) -> Iterator[str]:
    told = any(item.tone for item in bullets.items)
    yield f"<ul{' class=findings' if told else ''}>"
    for item in bullets.items:
        tone = f' class="{item.tone}"' if item.tone else ""
        yield f"<li{tone}>{inline(item.text)}</li>"
    yield "</ul>"


def _table(table: Table) -> Iterator[str]:
    """Yield a table in a box of its own, which scrolls where the page is too narrow."""
    name = escape(table.caption, quote=True)
    hidden = " class=hidden" if table.said else ""
    yield f'<div class="box" role="region" aria-label="{name}" tabindex="0">'
    yield f'<table class="{table.kind}"><caption{hidden}>{inline(table.caption)}</caption>'
    heads = "".join(f'<th scope="col">{inline(head)}</th>' for head in table.head)
    yield f"<thead><tr>{heads}</tr></thead>"
    for group in table.groups:
        yield "<tbody>"
        if group.title:
            # The title has a cell of its own, so that it can stay in sight with the first column.
            rest = f'<td colspan="{len(table.head) - 1}" aria-hidden="true"></td>'
            yield f'<tr class="group"><th scope="rowgroup">{inline(group.title)}</th>{rest}</tr>'
        for line in group.lines:
            yield "<tr>" + _first(line[0]) + "".join(_fields(line[1:])) + "</tr>"
        yield "</tbody>"
    yield "</table></div>"


def _first(field: Field) -> str:
    unit = f"&nbsp;<small>{escape(field.small)}</small>" if field.small else ""
    return f'<th scope="row">{inline(field.text)}{unit}</th>'


def _fields(fields: Sequence[Field]) -> Iterator[str]:
    """Yield cells; the same reason in all of them is said once."""
    if len(fields) > 1 and all(field.quiet and field == fields[0] for field in fields):
        yield f'<td class="quiet all" colspan="{len(fields)}">{inline(fields[0].text)}</td>'
        return
    for field in fields:
        kind = ' class="quiet"' if field.quiet else ""
        small = f"<small>{escape(field.small)}</small>" if field.small else ""
        shown = inline(field.text).replace("\n", "<br>")
        yield f"<td{kind}>{shown}{small}</td>"
