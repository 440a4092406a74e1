"""The shape of the code: sizes, docstrings, names, words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.upkeep.generate import ROOT

pytestmark = pytest.mark.upkeep

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "__pycache__" not in path.parts)
OTHERS = sorted(
    path for suffix in ("*.sql", "*.lua") for path in (ROOT / "src/firstcome").rglob(suffix)
)
EMPTY_NAMES = {"utils", "util", "common", "helpers", "base", "manager", "service", "types", "misc"}
# Written so that this file does not hold them.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
# word -> what the glossary calls it, where nothing else can be meant
FOREIGN_WORDS = {
    "DLQ": "dead letters",
    "voucher": "coupon",
    "inventory": "stock",
    "outcome unknown": "OUTCOME_UNKNOWN",
    "waiting room": "gate",
    "reservation": "admission",
    "allocation": "admission",
    "reconciler": "sweeper",
    "refund": "release",
}


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    """Every Python file, read once."""
    return {path: path.read_text(encoding="utf-8") for path in (*SOURCES, *TESTS)}


@pytest.fixture(scope="module")
def trees(texts: dict[Path, str]) -> dict[Path, ast.Module]:
    """Every Python file, parsed once."""
    return {path: ast.parse(text) for path, text in texts.items()}


def test_files_end_before_they_are_too_long(texts: dict[Path, str]) -> None:
    lines = {_name(path): text.count("\n") for path, text in texts.items()}
    assert {name: count for name, count in lines.items() if count > FILE_LINES_MAX} == {}


def test_functions_end_before_they_are_too_long(trees: dict[Path, ast.Module]) -> None:
    long = [
        f"{_name(path)}:{node.lineno} {node.name} has {lines} lines"
        for path, tree in trees.items()
        for node in _functions(tree)
        if (lines := _own_lines(node)) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_every_module_says_what_it_is(trees: dict[Path, ast.Module]) -> None:
    silent = [
        _name(path)
        for path, tree in trees.items()
        if tree.body and path.name != "__main__.py" and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_every_public_class_and_function_says_what_its_name_cannot(
    trees: dict[Path, ast.Module],
) -> None:
    silent = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path, tree in trees.items()
        if path in SOURCES
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_script_and_query_file_opens_with_its_dictionary() -> None:
    assert [_name(path) for path in OTHERS if not path.read_text().startswith("-- ")] == []


def test_no_module_has_an_empty_name() -> None:
    found = {path for path in SOURCES for part in (*path.parts, path.stem) if part in EMPTY_NAMES}
    assert {_name(path) for path in found} == set()


def test_nothing_is_left_for_later(texts: dict[Path, str]) -> None:
    others = {path: path.read_text(encoding="utf-8") for path in OTHERS}
    found = [
        f"{_name(path)}: {match[0]}"
        for path, text in (texts | others).items()
        if (match := UNFINISHED.search(text))
    ]
    assert found == []


def test_sources_use_the_words_of_the_glossary(texts: dict[Path, str]) -> None:
    foreign = re.compile(rf"\b({'|'.join(FOREIGN_WORDS)})\b", re.IGNORECASE)
    found = [
        f"{_name(path)}: {match[0]}; the glossary says {FOREIGN_WORDS.get(match[0], 'otherwise')}"
        for path, text in texts.items()
        if path in SOURCES and (match := foreign.search(text))
    ]
    assert found == []


def test_test_names_say_who_does_what(trees: dict[Path, ast.Module]) -> None:
    short = [
        f"{_name(path)}: {node.name}"
        for path, tree in trees.items()
        if path in TESTS
        for node in _functions(tree)
        if node.name.startswith("test_") and node.name.count("_") < 3
    ]
    assert short == []


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return a function's lines without those of the functions inside it, which count alone."""
    inner = [node for node in _functions(ast.Module(function.body, [])) if node is not function]
    within = {
        line for node in inner for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return (function.end_lineno or 0) - function.lineno + 1 - len(within)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))
