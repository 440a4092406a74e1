"""The whole failpoint sweep: each point with each action, by the times of a real stack.

    python bench/failpoints.py [--seeds 3] [--first-seed 1] [--points a,b] [--actions kill,pause]
        [--more]

Every seed gets a stack of its own, with default settings and pauses of 35 s, and every group
of cases a crowd and campaigns of its own; at its end all laws are judged, by what every client
heard and by `firstcome verify`. Writes docs/reports/failpoints.md, and the outcomes beside it as
JSON, so that a sweep may be done in parts (--more). Exit code 0 when every case was taken and
every law held. About 35 minutes a seed.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from firstcome.bench.environment import engines, machine
from firstcome.bench.origin import commit
from firstcome.bench.stack import RunningStack, started
from firstcome.drill import cases
from firstcome.drill.cases import Case, Group
from firstcome.drill.sweep import Sweep
from firstcome.errors import FirstcomeError
from firstcome.failpoints import POINTS, Action
from firstcome.settings import Settings

ROOT = Path(__file__).parents[1]
PAUSE_SECONDS = 35.0
FINAL_SECONDS = 120.0  # law L3 after the end of a long fault


class Outcome(NamedTuple):
    """What became of one case with one seed."""

    seed: int
    case: Case
    commit: str
    verdict: str  # held, or what was wrong
    process: str  # empty: it was never taken
    healed_seconds: float


def main() -> int:
    """Sweep, and write the page; 0 when nothing is wrong."""
    options = _options()
    chosen = [Action(word) for word in options.actions.split(",")]
    groups = cases.every(options.points.split(",") if options.points else POINTS, chosen)
    ledger = options.page.with_suffix(".json")
    outcomes = _read(ledger) if options.more else []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        found, environment = _with_a_seed(groups, seed)
        again = {(each.seed, each.case) for each in found}
        outcomes = [each for each in outcomes if (each.seed, each.case) not in again] + found
        ledger.parent.mkdir(parents=True, exist_ok=True)
        ledger.write_bytes(msgspec.json.format(msgspec.json.encode(outcomes)) + b"\n")
        options.page.write_text(page(outcomes, environment))
        print(f"written: {options.page}", file=sys.stderr)
    return 0 if all(outcome.verdict == "held" for outcome in outcomes) else 1


def _read(ledger: Path) -> list["Outcome"]:
    return msgspec.json.decode(ledger.read_bytes(), type=list[Outcome]) if ledger.exists() else []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--points", default="", help="All, unless some are named.")
    parser.add_argument("--actions", default=",".join(action.value for action in Action))
    parser.add_argument("--more", action="store_true", help="Add to the report that is there.")
    report = ROOT / "docs" / "reports" / "failpoints.md"
    parser.add_argument("--page", type=Path, default=report)
    return parser.parse_args()


def _with_a_seed(groups: list[Group], seed: int) -> tuple[list[Outcome], dict[str, str]]:
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="firstcome-failpoints-") as temporary:
        state = Path(temporary) / "state"
        folder = {"FIRSTCOME_FAILPOINTS__FOLDER": str(state / "failpoints")}
        with started(state, "--api", "2", "--recorders", "2", **folder) as stack:
            os.environ |= {"FIRSTCOME_CONFIG": str(state / "settings.toml")}
            environment = machine() | engines(Settings.load())
            for group in groups:
                outcomes += _undergone(stack, group, seed)
    return outcomes, environment


def _undergone(stack: RunningStack, group: Group, seed: int) -> list[Outcome]:
    say = _saying(f"seed {seed}, {group.name}: ")
    sweep = Sweep(stack, pause_seconds=PAUSE_SECONDS, say=say)
    verdict = "held"
    try:
        sweep.undergo(group, seed, FINAL_SECONDS)
    except FirstcomeError as error:
        verdict = str(error)
        say(verdict)
    at = commit()
    taken = {broken.case: broken for broken in sweep.broken}
    return [
        Outcome(seed, case, at, verdict, taken[case].process, taken[case].healed_seconds)
        if case in taken
        else Outcome(seed, case, at, f"not swept: {verdict}", "", 0.0)
        for wave in group.waves
        for case in wave
    ]


def _saying(prefix: str) -> Callable[[str], None]:
    return lambda words: print(prefix + words, file=sys.stderr, flush=True)


def page(outcomes: list[Outcome], environment: dict[str, str]) -> str:
    """Return the report for people."""
    described = " · ".join(f"{name} {value}" for name, value in sorted(environment.items()))
    seeds = sorted({outcome.seed for outcome in outcomes})
    commits = dict.fromkeys(outcome.commit for outcome in outcomes)
    held = sum(outcome.verdict == "held" for outcome in outcomes)
    actions = [each for each in Action if any(o.case.action is each for o in outcomes)]
    points = [each for each in POINTS if any(o.case.point == each for o in outcomes)]
    lines = [
        f"# Failpoint sweep, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"Commit {', '.join(commits)}. {described}. Written by `make faults-sweep`, seeds "
        f"{', '.join(map(str, seeds))}.",
        "",
        f"Cases taken with every law held afterwards: **{held} of {len(outcomes)}**. Default "
        f"settings; a pause stops the whole process for {PAUSE_SECONDS:g} s; 320 visitors a "
        "second, at least 100 of their claims accepted in the second before each fault. Two api "
        "processes, two recorders, one sweeper, one broker.",
        "",
        "In each cell: how often the laws held, of how many times; the longest time until every "
        "process worked and claims were accepted again. Pauses of api, recorder and sweeper are "
        "swept at the same time.",
        "",
        f"| point | {' | '.join(action.value for action in actions)} |",
        f"| --- | {' | '.join('---' for _ in actions)} |",
    ]
    for point in points:
        cells = [_cell([o for o in outcomes if o.case == (point, action)]) for action in actions]
        lines.append(f"| `{point}` | {' | '.join(cells)} |")
    wrong = dict.fromkeys(o.verdict for o in outcomes if o.verdict != "held")
    lines += ["", "## What was wrong", "", *(f"```\n{each[:3000]}\n```" for each in wrong)] * bool(
        wrong
    )
    return "\n".join(lines) + "\n"


def _cell(outcomes: list[Outcome]) -> str:
    if not outcomes:
        return "-"
    held = sum(outcome.verdict == "held" for outcome in outcomes)
    worst = max(outcome.healed_seconds for outcome in outcomes)
    text = f"{held}/{len(outcomes)}, {worst:.0f} s"
    return text if held == len(outcomes) else f"**{text}**"


if __name__ == "__main__":
    sys.exit(main())
