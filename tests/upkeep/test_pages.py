"""The pages of docs/ say what the code says."""

import re

import pytest

from firstcome.api.problems import PROBLEMS
from firstcome.gate import keys
from firstcome.model import CampaignId
from tests.upkeep.generate import ROOT, pages

pytestmark = pytest.mark.upkeep

DOCS = ROOT / "docs"
DECISION_PARTS = (
    "## Context",
    "## Decision",
    "## Consequences",
    "## Alternatives",
    "## Evidence",
)
DECISIONS = sorted(DOCS.glob("decisions/[0-9]*.md"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_generated_pages_are_current(page: object) -> None:
    for path, text in pages().items():
        if path == page:
            assert path.read_text(encoding="utf-8") == text, "run `make docs`"


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_every_decision_has_its_parts(page: object) -> None:
    (path,) = [each for each in DECISIONS if each == page]
    text = path.read_text(encoding="utf-8")
    number = path.name[:4]
    assert re.match(rf"# {number}: \S", text)
    assert re.search(r"^- Status: \w", text, re.MULTILINE)
    if number != "0000":  # the template
        assert re.search(r"^- Date: \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    found = re.findall(r"^## .*$", text, re.MULTILINE)
    assert [part for part in found if part in DECISION_PARTS] == list(DECISION_PARTS)


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(len(DECISIONS)))


@pytest.mark.parametrize("name", ["errors.md", "errors.ko.md"])
def test_every_problem_code_has_its_place_on_the_page(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    told = re.findall(r"^## ([A-Z_]+)\n\n(\d{3}) ", text, re.MULTILINE)
    assert dict(told) == {code: str(problem.status) for code, problem in PROBLEMS.items()}


def test_delay_that_the_page_of_events_quotes_is_that_of_the_newest_report() -> None:
    newest = sorted(DOCS.glob("reports/events-*.md"))[-1]
    report = newest.read_text(encoding="utf-8")
    delay = re.search(r"^\| debezium (?:\|[^|]*){3}\| (\d+) / (\d+) / \d+ \|", report, re.MULTILINE)
    assert delay is not None
    page = (DOCS / "events.md").read_text(encoding="utf-8")
    assert f"(reports/{newest.name})" in page
    assert f"{delay[1]} ms after its commit (p50; p95 {delay[2]} ms)" in page


def test_keys_of_the_gate_are_those_of_the_page() -> None:
    told = set(
        re.findall(r"^\| `(fc:[^`]+)`", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    )
    listed = {key.name for key in keys.KEYS}
    campaign = CampaignId(7)
    made = {
        keys.gate(campaign),
        keys.journal(campaign, 3),
        keys.settled(campaign, 3),
        keys.users_prefix(campaign, 3) + "5",
    }
    filled = {
        key.replace("{id}", "{7}").replace("<epoch>", "3").replace("<bucket>", "5")
        for key in listed
    }
    assert filled == made
    assert {each.name for name in made if (each := keys.key_of(name))} == listed
    assert keys.key_of("fc:{7}:gates") is keys.key_of("fc:{7}:3:users:") is None
    assert told == listed


def test_both_readmes_have_the_same_commands() -> None:
    english, korean = (
        _commands((ROOT / name).read_text(encoding="utf-8"))
        for name in ("README.md", "README.ko.md")
    )
    assert english == korean
    assert len(english) > 5


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("deploy/**/*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert broken == []


def _commands(text: str) -> list[str]:
    """Return the command lines of all shell blocks, without comments and names for people."""
    lines = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        # A comment begins after two spaces: a single one may stand inside a quoted text.
        bare = [re.sub(r"(^|\s\s+)#.*", "", line).strip() for line in block.splitlines()]
        lines += [re.sub(r'--name "[^"]*"', "--name ...", line) for line in bare if line]
    return lines
