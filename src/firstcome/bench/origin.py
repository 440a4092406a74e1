"""Where figures come from: the commit of the code, the machine, the engines."""

import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from firstcome.bench.environment import engines, machine
from firstcome.settings import Settings


class Origin(NamedTuple):
    """What a report has to say of itself."""

    commit: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings, load_average: float | None = None) -> "Origin":
        """Ask the checkout, the machine and the running engines.

        `load_average`: of the machine before the drill began, so what others did on it.
        """
        found = machine() | engines(settings) | {"kafka": kafka()}
        if load_average is not None:
            found["load average before"] = f"{load_average:.1f}"
        return cls(commit(), found)

    def said(self) -> str:
        """Return it in one line."""
        environment = " · ".join(f"{name} {value}" for name, value in self.environment.items())
        return f"commit {self.commit}. {environment}"


def commit() -> str:
    """Return the checkout's commit, marked where something differs from it; else the version.

    Reports do not count: each run adds to them, and the next is none the less of the same code.
    """
    name = _git("describe", "--always")
    changed = _git("diff", "--name-only", "HEAD", "--", ":/", ":(top,exclude)docs/reports")
    return f"{name}{'-dirty' if changed else ''}" if name else f"of version {version('firstcome')}"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def kafka() -> str:
    """Return the version of the local stack's broker, from the list of its jars."""
    lock = files("firstcome.local").joinpath("kafka.lock").read_text()
    lines = (line.split() for line in lock.splitlines())
    return next((words[2] for words in lines if words[1:2] == ["kafka-clients"]), "unknown")
