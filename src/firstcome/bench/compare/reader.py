"""Whom a page is written for: the words of a language, and how it names things.

English and Korean have the same words (a test compares them), so every page has the same parts.
"""

from collections.abc import Mapping

from firstcome.bench.compare import words_en, words_ko
from firstcome.bench.compare.figures import SHOWN_UNITS
from firstcome.bench.compare.finding import Finding
from firstcome.bench.compare.row import Row
from firstcome.bench.compare.rows import BY_KEY
from firstcome.bench.compare.told import Told

LANGUAGES = ("en", "ko")
_WORDS: dict[str, Mapping[str, str]] = {"en": words_en.WORDS, "ko": words_ko.WORDS}


class Reader:
    """The words of one language."""

    def __init__(self, language: str) -> None:
        """`language` is one of LANGUAGES."""
        self.language = language
        self.words = _WORDS[language]

    def __getitem__(self, key: str) -> str:
        """Return a word."""
        return self.words[key]

    def say(self, key: str, **figures: str) -> str:
        """Return a sentence with its figures."""
        return self.words[key].format(**figures)

    def part(self, prefix: str) -> dict[str, str]:
        """Return the words under a prefix, without it."""
        return {
            key.removeprefix(prefix): word
            for key, word in self.words.items()
            if key.startswith(prefix)
        }

    def title(self, row: Row) -> str:
        """Return what a row is called."""
        return row.en if self.language == "en" else row.ko

    def unit(self, row: Row) -> str:
        """Return what a row is measured in."""
        return self.words.get(f"unit.{row.unit}", SHOWN_UNITS.get(row.unit, row.unit))

    def told(self, told: Told) -> str:
        """Return a figure of the source as it stands there."""
        return told.en if self.language == "en" else told.ko

    def sentence(self, finding: Finding) -> str:
        """Return the sentence of a finding."""
        row = {"row": self.title(BY_KEY[finding.row])} if finding.row else {}
        return self.say(f"verdict.{finding.key}", **finding.figures, **row)

    def scenario(self, name: str) -> str:
        """Return what a scenario is; one without words is its name alone."""
        return self.words.get(f"scenario.{name}", name)

    def item(self, name: str) -> str:
        """Return what a fact about the machine is called; one without words as it is."""
        return self.words.get(f"machine.name.{name}", name)
