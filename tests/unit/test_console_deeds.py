"""What the audit calls a deed, in SQL and in code, has words on the pages; and no word is idle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import firstcome
from firstcome.console.pages.words import LANGUAGES, words_of

pytestmark = pytest.mark.unit

SOURCE = Path(str(firstcome.__path__[0]))
DEEDS = {"note", "_note", "_change", "_set_state", "_close"}  # take an action, or its last word


def test_every_audited_action_has_words_in_each_language() -> None:
    actions = {*_of_sql(), *_of_code()}
    assert {"events.replay", "campaign.create", "dead_letter.redrive"} <= actions
    for language in LANGUAGES:
        told = {key for key in words_of(language).keys() if key.startswith("deed.")}  # noqa: SIM118
        assert told == {f"deed.{action}" for action in actions}, language


def _of_sql() -> Iterator[str]:
    for path in sorted(SOURCE.rglob("*.sql")):
        for statement in re.split(r";\n|-- name:", path.read_text("utf-8")):
            if "INSERT INTO audit" in statement:
                yield from re.findall(r"'([a-z_]+\.[a-z_]+)'", statement)


def _of_code() -> Iterator[str]:
    for path in sorted(SOURCE.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        for subject in filter(None, map(_subject, nodes)):
            yield from (f"{subject}.{word}" for word in _given(nodes, r"[a-z_]+"))
        yield from _given(nodes, r"[a-z_]+\.[a-z_]+")


def _given(nodes: list[ast.AST], pattern: str) -> Iterator[str]:
    """Yield the texts of a pattern that are given to what notes deeds."""
    for node in nodes:
        if isinstance(node, ast.Call) and _name(node.func) in DEEDS:
            for given in node.args:
                text = given.value if isinstance(given, ast.Constant) else None
                if isinstance(text, str) and re.fullmatch(pattern, text):
                    yield text


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _subject(node: ast.AST) -> str:
    """Return what stands before the dot where an action is put together: f"campaign.{action}"."""
    if not isinstance(node, ast.JoinedStr) or len(node.values) != 2:
        return ""
    first, last = node.values
    named = isinstance(last, ast.FormattedValue) and _name(last.value) == "action"
    text = first.value if isinstance(first, ast.Constant) else ""
    return str(text).removesuffix(".") if named and str(text).endswith(".") else ""
