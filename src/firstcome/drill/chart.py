"""Charts of a timeline as SVG: panels below each other, over the same seconds.

Text and lines only, no script and no font of its own; it carries its own background, light or
dark as the reader's system asks for, so that it can be read wherever a page shows it.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTH, PANEL_HEIGHT = 860, 190
LEFT, RIGHT, TOP, BOTTOM = 66, 18, 34, 24
COLOURS = ("a", "b")  # classes of the style below, one a series
STYLE = """
.page{fill:#ffffff}.grid{stroke:#d8dee4;stroke-width:1}.shade{fill:#d1242f;opacity:.10}
text{fill:#1f2328;font:12px system-ui,sans-serif}.title{font-weight:600}
.soft{fill:#59636e}
.a{stroke:#0969da}.b{stroke:#bc4c00}.series{fill:none;stroke-width:1.8;stroke-linejoin:round}
.key.a{fill:#0969da;stroke:none}.key.b{fill:#bc4c00;stroke:none}
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.grid{stroke:#30363d}text{fill:#e6edf3}
.soft{fill:#9198a1}.shade{fill:#f85149;opacity:.18}.a{stroke:#4493f8}.b{stroke:#f0883e}
.key.a{fill:#4493f8}.key.b{fill:#f0883e}}
""".strip()


Place = Callable[[float], float]  # from a value to its place on the page


class Series(NamedTuple):
    """One line: its name, and a value for each second; None leaves a gap."""

    name: str
    values: Sequence[float | None]


class Panel(NamedTuple):
    """One drawing: a title with its unit, one or two lines.

    What is above a `ceiling` is drawn at the top, and the highest of it is written there: so that
    one spike does not make everything else flat.
    """

    title: str
    series: Sequence[Series]
    ceiling: float | None = None


def chart(
    panels: Sequence[Panel], shade: tuple[float, float], shade_name: str, seconds_name: str
) -> str:
    """Return an SVG document; `shade` marks a span of seconds in every panel."""
    length = max(len(series.values) for panel in panels for series in panel.series)
    height = PANEL_HEIGHT * len(panels) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(
            panel, number * PANEL_HEIGHT, length, shade, shade_name if not number else ""
        )
    parts += [_text(WIDTH - RIGHT, height - 6, seconds_name, "soft", "end"), "</svg>"]
    return "\n".join(parts) + "\n"


def _panel(
    panel: Panel, top: int, length: int, shade: tuple[float, float], shade_name: str
) -> Iterator[str]:
    upper, lower = top + TOP, top + PANEL_HEIGHT - BOTTOM
    highest = max((value or 0.0 for each in panel.series for value in each.values), default=0.0)
    ceiling, step = scale(min(highest, panel.ceiling or highest))

    def x(second: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * second / max(1, length - 1)

    def y(value: float) -> float:
        return lower - (lower - upper) * min(value, ceiling) / ceiling

    since, until = (x(min(moment, length - 1)) for moment in shade)
    yield (
        f'<rect class="shade" x="{since:.1f}" y="{upper}" width="{until - since:.1f}" '
        f'height="{lower - upper}"/>'
    )
    yield _text((since + until) / 2, upper + 13, shade_name, "soft", "middle")
    yield _text(LEFT, top + 20, panel.title, "title")
    for tick in range(round(ceiling / step) + 1):
        yield f'<path class="grid" d="M{LEFT} {y(tick * step):.1f}H{WIDTH - RIGHT}"/>'
        yield _text(LEFT - 8, y(tick * step) + 4, _number(tick * step), "soft", "end")
    for second in range(0, length, _second_step(length)):
        yield _text(x(second), lower + 16, str(second), "soft", "middle")
    yield from _key(panel, top)
    for colour, series in zip(COLOURS, panel.series, strict=False):
        yield f'<path class="series {colour}" d="{_path(series.values, x, y)}"/>'
        above = [at for at, value in enumerate(series.values) if (value or 0.0) > ceiling]
        if above:
            peak = max(value or 0.0 for value in series.values)
            yield _text(x(above[-1]) + 12, upper + 13, f"▲ {peak:,.0f}")


def _key(panel: Panel, top: int) -> Iterator[str]:
    if len(panel.series) == 1:
        return
    place = WIDTH - RIGHT
    for colour, series in reversed(list(zip(COLOURS, panel.series, strict=False))):
        yield _text(place, top + 20, series.name, "", "end")
        # Hangul is about twice as wide as Latin letters at this size.
        place -= round(sum(13 if ord(letter) > 0x1100 else 7 for letter in series.name)) + 12
        yield f'<rect class="key {colour}" x="{place - 2}" y="{top + 11}" width="10" height="10"/>'
        place -= 18


def _path(values: Sequence[float | None], x: Place, y: Place) -> str:
    words, pen = list[str](), "M"
    for second, value in enumerate(values):
        if value is None:
            continue  # measured less often than once a second: the line goes on
        words.append(f"{pen}{x(second):.1f} {y(value):.1f}")
        pen = "L"
    return "".join(words)


def scale(highest: float) -> tuple[float, float]:
    """Return the top of an axis and the distance of its lines, both round: 1, 2 or 5 by tens."""
    step, factors = 10.0**-3, (2.0, 2.5, 2.0)
    turn = 0
    while step * 4 < highest:
        step *= factors[turn % 3]
        turn += 1
    lines = max(1, -(-highest // step))
    return step * lines, step


def _second_step(length: int) -> int:
    return next(step for step in (5, 10, 20, 30, 60, 120, 300, 600) if length / step <= 16)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    if not text:
        return ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
