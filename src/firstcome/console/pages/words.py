"""The words of the pages, one file for each language, and how a language is chosen.

messages/<language>.toml holds the same keys in each; a test compares them. Numbers get their commas
here; numbers that are names, such as a campaign's, are given as texts.
"""

import tomllib
from functools import cache
from http.cookies import CookieError, SimpleCookie
from importlib.resources import files
from typing import Any

LANGUAGES = {"en": "English", "ko": "한국어"}
COOKIE = "firstcome_language"


class Words:
    """The messages of one language."""

    def __init__(self, language: str, messages: dict[str, str]) -> None:
        self.language = language
        self._messages = messages

    def __call__(self, key: str, **values: object) -> str:
        """Return a message. Raises KeyError for one that does not exist."""
        message = self._messages[key]
        return message.format(**{name: told(value) for name, value in values.items()})

    def get(self, key: str) -> str | None:
        """Return a message, or None if there is none."""
        return self._messages.get(key)

    def keys(self) -> set[str]:
        """Return the names of all messages."""
        return set(self._messages)


@cache
def words_of(language: str) -> Words:
    """Return the words of a language, read once."""
    text = (files("firstcome.console") / "messages" / f"{language}.toml").read_text("utf-8")
    return Words(language, dict(_flat("", tomllib.loads(text))))


def language_of(cookie: str, accept: str) -> str:
    """Return the language of a browser: what its user chose, else what it asks for."""
    try:
        chosen = SimpleCookie(cookie).get(COOKIE)
    except CookieError:
        chosen = None
    if chosen is not None and chosen.value in LANGUAGES:
        return chosen.value
    wanted = sorted(map(_wish, accept.split(",")), reverse=True)
    return next((name for weight, name in wanted if name in LANGUAGES and weight > 0), "en")


def told(value: object) -> str:
    """Return a value as it is shown: a dash for what nobody knows, commas in numbers."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return str(value)


def _wish(part: str) -> tuple[float, str]:
    name, _, weight = part.strip().lower().partition(";q=")
    try:
        return float(weight or 1), name[:2]
    except ValueError:
        return 0.0, name[:2]


def _flat(prefix: str, table: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name, value in table.items():
        key = f"{prefix}{name}"
        found += _flat(f"{key}.", value) if isinstance(value, dict) else [(key, str(value))]
    return found
