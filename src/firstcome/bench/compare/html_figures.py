"""The drawn parts of the HTML page: tiles, bars of waiting times, charts with their tables.

Tiles and bars are plain HTML. A chart is an empty place that the script fills from the page's
data; the table beside it says the same to whoever cannot see it.
"""

import math
from collections.abc import Callable, Iterator
from html import escape

from firstcome.bench.compare.blocks import Bar, Bars, Chart, Charts, Series, Tiles
from firstcome.bench.compare.figures import number

LEAST_MS = 1.0  # where the scale of waiting times begins


def tiles(block: Tiles, inline: Callable[[str], str]) -> Iterator[str]:
    """Yield the large figures."""
    yield '<ul class="tiles">'
    for tile in block.tiles:
        yield (
            f'<li class="{tile.tone}"><b>{escape(tile.value)}</b>'
            f"<span>{inline(tile.title)}</span><small>{inline(tile.beside)}</small></li>"
        )
    yield "</ul>"


def bars(block: Bars, engine: str, marks: str) -> Iterator[str]:
    """Yield waiting times as a table whose last column draws them on a common scale."""
    most = max(bar.p99 for bar in block.bars)
    decades = max(1, math.ceil(math.log10(max(most, 10.0) / LEAST_MS) - 1e-9))

    def place(value: float) -> float:
        return 100 * math.log10(max(value, LEAST_MS) / LEAST_MS) / decades

    caption = escape(block.title)
    yield f'<figure class="bars"><table><caption>{caption} <small>{escape(block.scale)}</small>'
    yield "</caption>"
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("p50", "p95", "p99"))
    yield f'<thead><tr><th scope="col">{escape(engine)}</th>{heads}'
    yield f'<td aria-hidden="true">{_scale(decades)}</td></tr></thead><tbody>'
    for bar in block.bars:
        numbers = "".join(f"<td>{number(value)}</td>" for value in (bar.p50, bar.p95, bar.p99))
        yield f'<tr><th scope="row">{escape(bar.name)}</th>{numbers}'
        yield f'<td aria-hidden="true">{_bar(bar, block, decades, place)}</td></tr>'
    yield "</tbody></table>"
    if block.marks:
        names = ", ".join(escape(name) for name, _ in block.marks)
        yield f'<figcaption class="marks">{escape(marks)}: {names}</figcaption>'
    yield "</figure>"


def _scale(decades: int) -> str:
    ticks = "".join(
        f'<i style="left:{100 * power / decades:.2f}%">{10**power * LEAST_MS:,.0f}</i>'
        for power in range(decades + 1)
    )
    return f'<div class="scale">{ticks}</div>'


def _bar(bar: Bar, block: Bars, decades: int, place: Callable[[float], float]) -> str:
    p50, p95, p99 = (place(value) for value in (bar.p50, bar.p95, bar.p99))
    grid = "".join(
        f'<i class="grid" style="left:{100 * power / decades:.2f}%"></i>'
        for power in range(decades + 1)
    )
    marks = "".join(
        f'<i class="mark" style="left:{place(figure):.2f}%"></i>' for _, figure in block.marks
    )
    colour = f"--c:var(--c-{colour_name(bar.name)})"
    return (
        f'<div class="track" style="{colour}">{grid}{marks}'
        f'<i class="tail" style="left:{p50:.2f}%;width:{max(0.6, p99 - p50):.2f}%"></i>'
        f'<i class="bar" style="left:{p50:.2f}%;width:{max(0.6, p95 - p50):.2f}%"></i></div>'
    )


def charts(block: Charts, data: list[dict[str, object]]) -> Iterator[str]:
    """Yield the places of charts; what they draw is appended to `data`."""
    words = block.words
    yield f'<details class="charts"{" open" if block.opened else ""}>'
    yield f"<summary>{escape(block.title)}</summary>"
    yield f'<p class="note">{_plain(block.note)} {escape(words["keys"])}.</p><div class="wall">'
    for chart in block.charts:
        unit = f" <small>{escape(chart.unit)}</small>" if chart.unit else ""
        name = escape(_said(chart), quote=True)
        of = f"<b>{escape(chart.of)}</b>" if chart.of else ""
        yield f"<figure><figcaption>{of}<span>{escape(chart.title)}{unit}</span></figcaption>"
        yield (
            f'<div class="chart" data-chart="{len(data)}" role="img" tabindex="0" '
            f'aria-label="{name}"></div>'
        )
        yield "".join(_table(chart, words)) + "</figure>"
        data.append(_data(chart))
    yield "</div></details>"


def _plain(text: str) -> str:
    return escape(text).replace("`", "")


def _data(chart: Chart) -> dict[str, object]:
    return {
        "unit": chart.unit,
        "top": chart.top,
        "x": chart.seconds,
        "names": [series.name for series in chart.series],
        "colours": [colour_name(series.colour) for series in chart.series],
        "y": [series.values for series in chart.series],
    }


def _table(chart: Chart, words: dict[str, str]) -> Iterator[str]:
    """Yield the legend, which is a table of least, average and most."""
    heads = "".join(
        f'<th scope="col">{escape(words[word])}</th>' for word in ("least", "average", "most")
    )
    yield f'<table class="legend"><thead><tr><th scope="col">{escape(words["series"])}</th>{heads}'
    yield '<td class="now" aria-hidden="true"></td></tr></thead><tbody>'
    for series in chart.series:
        numbers = "".join(f"<td>{number(value)}</td>" for value in _summary(series))
        swatch = f'<i style="background:var(--c-{colour_name(series.colour)})"></i>'
        yield f'<tr><th scope="row">{swatch}{escape(series.name)}</th>{numbers}'
        yield '<td class="now" aria-hidden="true"></td></tr>'
    yield "</tbody></table>"


def _summary(series: Series) -> tuple[float, float, float]:
    values = [value for value in series.values if value is not None]
    return min(values), math.fsum(values) / len(values), max(values)


def _said(chart: Chart) -> str:
    """Return a chart in words: its title, and how high each line goes."""
    lines = "; ".join(f"{series.name} ≤ {number(_summary(series)[2])}" for series in chart.series)
    title = " ".join(part for part in (chart.of, chart.title, chart.unit) if part)
    return f"{title}: {lines}"


def colour_name(name: str) -> str:
    """Return a name that can stand in a style's variable."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())
