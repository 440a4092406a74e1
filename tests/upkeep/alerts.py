"""The alerts of deploy/prometheus as tests read them."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).parents[2] / "deploy/prometheus"
RULES = FOLDER / "firstcome.rules.yml"
UNIT_TESTS = FOLDER / "firstcome.rules.test.yml"


class Alert(NamedTuple):
    """One alert as it is written."""

    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def page(self) -> str:
        """The file name of its runbook."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", self.name).lower() + ".md"


def rules() -> list[dict[str, Any]]:
    """Return every rule, in the order of the file."""
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> list[Alert]:
    """Return every alert, in the order of the file."""
    return [
        Alert(rule["alert"], rule["expr"], rule["labels"], rule["annotations"])
        for rule in rules()
        if "alert" in rule
    ]


def unit_tests() -> list[dict[str, Any]]:
    """Return what promtool is to check."""
    return list(yaml.safe_load(UNIT_TESTS.read_text(encoding="utf-8"))["tests"])
