"""From a comparison to its report: a page in each language, in HTML and Markdown, and the data.

The one entry point of this package for the command line.
"""

from pathlib import Path

import msgspec

from firstcome.bench.collect.samples import Sample
from firstcome.bench.compare import page_html, page_md
from firstcome.bench.compare.chapters import chapters
from firstcome.bench.compare.grid import Grid
from firstcome.bench.compare.reader import LANGUAGES, Reader
from firstcome.bench.run import Comparison


def write_report(comparison: Comparison, folder: Path) -> list[Path]:
    """Write comparison-<date>.{en,ko}.{html,md} and .json; returns the files.

    The folder is made; a report of the same day is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"comparison-{comparison.at[:10]}{'-quick' if comparison.quick else ''}"
    data = folder / f"{name}.json"
    # The pages come from what is kept, so that they can be made from it again.
    kept = compact(comparison)
    data.write_bytes(msgspec.json.encode(kept))
    grid = Grid(kept)
    pages = (
        page for language in LANGUAGES for page in _pages(grid, Reader(language), folder / name)
    )
    return [*pages, data]


def _pages(grid: Grid, reader: Reader, base: Path) -> list[Path]:
    comparison, name = grid.comparison, base.name
    (other,) = (language for language in LANGUAGES if language != reader.language)
    made = chapters(grid, reader, f"{name}.json")
    subtitle = reader.say("subtitle", date=comparison.at[:10], commit=comparison.commit)
    html, markdown = (base.with_name(f"{name}.{reader.language}.{kind}") for kind in ("html", "md"))
    link = reader["other"], f"{name}.{other}.html"
    html.write_text(page_html.page(reader, subtitle, link, made), encoding="utf-8")
    link = reader["other"], f"{name}.{other}.md"
    markdown.write_text(page_md.page(reader["title"], subtitle, link, made), encoding="utf-8")
    return [html, markdown]


def compact(comparison: Comparison) -> Comparison:
    """Return the comparison with its samples to five digits: more they are not worth."""
    runs = [
        msgspec.structs.replace(run, samples=[_rounded(each) for each in run.samples])
        for run in comparison.runs
    ]
    return msgspec.structs.replace(comparison, runs=runs)


def _digits(value: float) -> float:
    """Return a whole number as it is, any other to five digits."""
    return value if value == int(value) else float(f"{value:.5g}")


def _rounded(sample: Sample) -> Sample:
    values = {
        metric: {label: _digits(value) for label, value in by_label.items()}
        for metric, by_label in sample.values.items()
    }
    return Sample(round(sample.at, 2), values)
