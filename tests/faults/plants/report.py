"""What became of each plant: a line of the table, and the report in docs/reports/selftest.md."""

import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from firstcome.bench.environment import machine
from tests.faults.plants.exam import Finding
from tests.faults.plants.planting import Plant

SHOWN_MAX = 8
# What the first runs of all this showed, and what became of it.
LESSONS = """
- `log_read_from_its_end` survived a killed recorder: by then heartbeats had left a committed offset
  on every partition. A fault was added in which the group's offsets are forgotten.
- `settled_before_commit` cannot be seen at the end, when the row is there. The laws are checked in
  the middle of that fault as well, with a grace for claims under way; without that it survived.
- `replies_shifted` held the judge up for minutes, because the api answered nobody: the judge looks
  at 500 users at a time now.
- The end of a fault was judged while a gate was still shut, where claims accepted just before the
  fault passed for those after it. Only claims accepted after it count.
- `users_not_released` survived when api processes had begun to mirror too and did not carry it, and
  `gate_call_repeated` when its module no longer imported what the plant uses. A unit test looks up
  every name that planted code uses; a plant that is carried by too few processes survives.
- `late_promise` was caught while its proof was missing: the call that leaves it stood behind an
  `or`. A plant without a proof counts as a failure, whatever is reported.
"""
HEAD = ("plant", "fault", "must be caught by", "was caught by", "seconds", "commit", "")


class Result(NamedTuple):
    """What became of one plant, or of a fault where nothing was planted (plant None)."""

    fault: str
    plant: Plant | None
    found: Sequence[Finding]
    seconds: float
    trouble: str = ""  # why this says nothing: the planted code never ran, or the exam broke
    commit: str = ""

    @property
    def passed(self) -> bool:
        """Whether it is as it has to be."""
        if self.trouble:
            return False
        if self.plant is None:
            return not self.found
        return self.plant.caught_by <= {finding.by for finding in self.found}

    @property
    def name(self) -> str:
        """Return what tells it from the others."""
        return self.plant.name if self.plant else f"none: {self.fault}"

    def cells(self) -> tuple[str, ...]:
        """Return its row of the table."""
        by = Counter(finding.by for finding in self.found)
        wanted = sorted(self.plant.caught_by) if self.plant else []
        name = self.plant.name if self.plant else "none"
        if self.passed:
            end = "caught" if self.plant else "nothing reported"
        else:
            end = "SURVIVED" if self.plant and not self.trouble else "FAILED"
        return (
            name,
            self.fault.replace("_", " "),
            ", ".join(wanted) or "nobody",
            ", ".join(sorted(by)) or "nobody",
            f"{self.seconds:.0f}",
            self.commit,
            end,
        )

    def words(self) -> str:
        """Return its row, and why it is not as it has to be."""
        lines = [row(self.cells())]
        if not self.passed:
            lines += [f"    {each.by}: {each.said[:300]}" for each in self.found[:SHOWN_MAX]]
            lines += [f"    {line}" for line in self.trouble.splitlines()]
        return "\n".join(lines)


def kept(file: Path, plants: Mapping[str, Plant]) -> list[Result]:
    """Return what earlier runs have kept in a file, the last of each name."""
    results: dict[str, Result] = {}
    for each in map(json.loads, file.read_text().splitlines() if file.exists() else ()):
        plant = plants.get(each["plant"])
        found = [Finding(*finding) for finding in each["found"]]
        end = (each["seconds"], each["trouble"], each["commit"])
        result = Result(each["fault"], plant, found, *end)
        results[result.name] = result
    return list(results.values())


def keep(file: Path, result: Result) -> None:
    """Add a result to a file, so that a run that is cut short goes on where it was."""
    found = [(each.by, each.said[:300]) for each in result.found]
    plant = result.plant.name if result.plant else None
    with file.open("a") as lines:
        lines.write(json.dumps(result._asdict() | {"plant": plant, "found": found}) + "\n")


def row(cells: Sequence[str]) -> str:
    """Return one row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def page(results: Sequence[Result], seed: int) -> str:
    """Return the report."""
    planted = [result for result in results if result.plant]
    plants = [result.plant for result in planted if result.plant]
    caught = sum(result.passed for result in planted)
    sound = [result for result in results if not result.plant]
    quiet = sum(result.passed for result in sound)
    commits = ", ".join(sorted({result.commit for result in results}))
    environment = " · ".join(f"{name} {value}" for name, value in sorted(machine().items()))
    lines = [
        "# The fault harness, tested by planted bugs",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commits}, seed {seed}. {environment}.",
        f"{len(planted)} plants, {caught} caught; {len(sound)} faults with nothing planted, "
        f"{quiet} with nothing reported.",
        "",
        "Written by `make faults-selftest`. Each plant is one bug in the product's own code, made "
        "while a stack's processes import it (`tests/faults/plants/`). L1-L8, *contradicted*, "
        "*uninvited* and *undecided* are sentences of the checker, which knows only what clients "
        "heard and the rows at the end; *verify* is `firstcome verify`; *flow* says that claims "
        "were not accepted any more. A plant is caught when each judge named for it has found it.",
        "",
        row(HEAD),
        row(["---"] * len(HEAD)),
        *(row(result.cells()) for result in results),
        "",
        "## The plants",
        "",
        *(f"- `{plant.name}`: {plant.sentence}" for plant in plants),
        "",
        "## What the first runs taught",
        LESSONS.rstrip(),
    ]
    return "\n".join(lines) + "\n"


def commit_now() -> str:
    """Return the commit that is checked out."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty"]
    said = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"
