"""The pages of a comparison: complete, the same in both languages, and alone without a network."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from firstcome.bench.collect.samples import Sample
from firstcome.bench.compare import page_html, page_md, words_en, words_ko
from firstcome.bench.compare.chapters import chapters
from firstcome.bench.compare.grid import Grid
from firstcome.bench.compare.reader import LANGUAGES, Reader
from firstcome.bench.compare.report import compact, write_report
from firstcome.bench.run import Comparison
from firstcome.bench.scenarios import SCENARIOS
from tests.unit import compared

pytestmark = pytest.mark.unit

VOID = {"meta", "br", "link", "img", "input", "hr"}
BASE = "comparison-2026-11-21"


class Page(HTMLParser):
    """What a page consists of; fails when an element is closed that is not the open one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "td" and "aria-hidden" not in dict(attrs):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open and self.cells:
            self.cells[-1] += data.strip()


@pytest.fixture(scope="module")
def whole() -> Comparison:
    """A comparison of everything."""
    return compared.comparison(compared.everything(3, seconds=6.0))


@pytest.fixture(scope="module")
def folder(whole: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of it."""
    folder = tmp_path_factory.mktemp("report") / "new"
    written = write_report(whole, folder)
    assert sorted(path.name for path in written) == sorted(p.name for p in folder.iterdir())
    return folder


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Page]:
    """Both HTML pages, parsed."""
    return {
        language: Page((folder / f"{BASE}.{language}.html").read_text(encoding="utf-8"))
        for language in LANGUAGES
    }


def test_report_is_a_page_of_each_kind_and_language_and_the_data(folder: Path) -> None:
    names = {f"{BASE}.{end}" for end in ("en.html", "ko.html", "en.md", "ko.md", "json")}
    assert {path.name for path in folder.iterdir()} == names


def test_data_of_the_report_are_the_comparison_with_its_samples(
    folder: Path, whole: Comparison
) -> None:
    read = msgspec.json.decode((folder / f"{BASE}.json").read_bytes(), type=Comparison)
    assert read == compact(whole)
    assert len(read.runs[0].samples) == len(whole.runs[0].samples)
    assert read.runs[0].outcome == whole.runs[0].outcome


def test_report_is_made_again_from_its_data(folder: Path, tmp_path: Path) -> None:
    data = (folder / f"{BASE}.json").read_bytes()
    *pages, _ = write_report(msgspec.json.decode(data, type=Comparison), tmp_path)
    for again in pages:
        assert again.read_bytes() == (folder / again.name).read_bytes(), again.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_closes_what_it_opens_and_says_its_language(
    pages: dict[str, Page], language: str
) -> None:
    page = pages[language]
    assert page.open == []
    assert ("html", {"lang": language}) in page.attributes
    identities = [each["id"] for _, each in page.attributes if "id" in each]
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_cell_of_a_page_is_empty(pages: dict[str, Page], folder: Path, language: str) -> None:
    assert len(pages[language].cells) > 1000
    assert [cell for cell in pages[language].cells if not cell] == []
    text = (folder / f"{BASE}.{language}.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    empty = [line for line in lines if "|  |" in line]
    assert [line for line in empty if not line.startswith("|  | p50")] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_needs_no_network(pages: dict[str, Page], language: str) -> None:
    for tag, attributes in pages[language].attributes:
        for name in ("src", "href", "data", "action", "srcset"):
            target = attributes.get(name) or ""
            assert "//" not in target, (tag, target)
        if tag in ("script", "img", "iframe"):
            assert "src" not in attributes
        assert tag != "link"
    assert "url(" not in page_html.asset("page.css") + page_html.asset("uPlot.min.css")
    policies = [each for _, each in pages[language].attributes if "http-equiv" in each]
    assert [each["content"] for each in policies] == [
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    ]


def test_both_languages_have_the_same_structure(pages: dict[str, Page], folder: Path) -> None:
    inside = {"strong", "code"}  # a sentence has them where its language wants them
    tags = [[tag for tag in pages[each].tags if tag not in inside] for each in LANGUAGES]
    assert tags[0] == tags[1]
    markdown = [(folder / f"{BASE}.{each}.md").read_text(encoding="utf-8") for each in LANGUAGES]
    shapes = [re.findall(r"^(#+ |\| |- )", text, re.MULTILINE) for text in markdown]
    assert shapes[0] == shapes[1]


def test_pages_lead_to_each_other(pages: dict[str, Page]) -> None:
    for language, other in (("en", "ko"), ("ko", "en")):
        targets = [each.get("href") for tag, each in pages[language].attributes if tag == "a"]
        assert f"{BASE}.{other}.html" in targets


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chart_has_a_name_a_table_and_data(
    pages: dict[str, Page], folder: Path, language: str
) -> None:
    places = [each for _, each in pages[language].attributes if "data-chart" in each]
    text = (folder / f"{BASE}.{language}.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.S)
    assert found is not None
    data = json.loads(found[1])
    legends = [each for _, each in pages[language].attributes if each.get("class") == "legend"]
    assert len(places) == len(data) == len(legends) > 100
    assert all(each["aria-label"] and each["tabindex"] == "0" for each in places)
    for entry in data:
        assert {len(values) for values in entry["y"]} == {len(entry["x"])}
        assert len(entry["y"]) == len(entry["names"]) == len(entry["colours"])


def test_report_of_no_runs_is_still_a_report(tmp_path: Path) -> None:
    for path in write_report(compared.comparison([], 1), tmp_path):
        assert path.stat().st_size
    Page((tmp_path / f"{BASE}.ko.html").read_text(encoding="utf-8"))


def test_report_tells_what_a_forgetting_redis_cost(folder: Path) -> None:
    text = (folder / f"{BASE}.en.md").read_text(encoding="utf-8")
    assert "| queue | everysec | standing still | 29,000 | 985 | 12 | 1.40 |" in text
    assert "| kafka | everysec | standing still | 29,000 | 0 | 0 | *never* |" in text
    assert "`kafka` everysec: L5" in text


def test_set_up_of_a_quick_comparison_is_that_of_its_small_crowds() -> None:
    grid = Grid(compared.comparison([compared.run("kafka", "source")], 1, quick=True))
    text = page_md.page("", "", ("", ""), chapters(grid, Reader("en"), ""))
    assert "| source | 4 × 500 | 33,300 |" in text


def test_report_escapes_what_runs_say(tmp_path: Path) -> None:
    values = {"process_cpu_percent": {"</script><b>": 3.0}}
    samples = [Sample(at, values) for at in (0.0, 1.0)]
    asked = {"notes": ["</script><b>"], "setup": {"<i>": "a|b"}, "started_at": 0.0}
    run = compared.run("kafka", samples=samples, **asked)
    write_report(compared.comparison([run], 1), tmp_path)
    text = (tmp_path / f"{BASE}.en.html").read_text(encoding="utf-8")
    assert "</script><b>" not in text
    assert "<i>" not in text
    assert "a\\|b" in (tmp_path / f"{BASE}.en.md").read_text(encoding="utf-8")


def test_both_languages_have_the_same_words_and_figures() -> None:
    english, korean = words_en.WORDS, words_ko.WORDS
    assert set(english) == set(korean)
    fields = re.compile(r"\{(\w+)\}")
    for key, word in english.items():
        assert set(fields.findall(word)) == set(fields.findall(korean[key])), key
    assert all(f"scenario.{scenario.name}" in english for scenario in SCENARIOS)


def test_chapters_are_those_of_the_source_and_what_it_lacked(whole: Comparison) -> None:
    made = chapters(Grid(whole), Reader("ko"), "data.json")
    assert [each.title for each in made[:5]] == [
        "1. 개요",
        "2. 테스트 목적",
        "3. 시스템 아키텍처 비교",
        "4. 테스트 구성",
        "5. 주요 성능 지표: 원 보고서와 나란히",
    ]
    assert [each.anchor for each in made[5:]] == [
        "detail",
        "conclusion",
        "machine",
        "noise",
        "limits",
        "repeat",
    ]


def test_vendored_library_is_the_one_that_its_manifest_names() -> None:
    manifest = json.loads(page_html.asset("manifest.json"))
    assert (manifest["package"], manifest["version"]) == ("uplot", "1.6.32")
    for name, digest in manifest["sha256"].items():
        content = (page_html.ASSETS / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name
    assert f"(v{manifest['version']})" in page_html.asset("uPlot.iife.min.js")[:100]
    assert "MIT License" in page_html.asset("uPlot.LICENSE")
