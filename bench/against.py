"""The cost of a claim now against that of an earlier commit: the same drops, in turn.

    python bench/against.py COMMIT [--rate 10000] [--seconds 15] [--rounds 3]

Both run at once on this machine, each a stack of its own from its own sources with the packages
of this environment; only one has a crowd at a time, and the one that begins changes each round.
CPU by process, in microseconds a claim: the median of the rounds and their spread. Writes
docs/reports/against-<day>.md. Exit code 1 when a claim costs more than 5 % more than before.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
MORE_MAX = 1.05
WARM_UP_SECONDS = 15.0

Found = dict[str, Any]


class Side:
    """One of the two: its name, where its sources are, and what its drops have found."""

    def __init__(self, name: str, sources: Path, state: Path) -> None:
        self.name = name
        self.drops: list[Found] = []
        self._environment = os.environ | {
            "PYTHONPATH": str(sources),
            "FIRSTCOME_STATE": str(state),
        }

    def run(self, *words: str) -> str:
        """Run a verb; return what it printed. Ends the program when the verb fails."""
        command = [sys.executable, "-m", "firstcome", *words]
        done = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != 0:
            sys.exit(f"{self.name}: {' '.join(words[:1])} ended with {done.returncode}")
        return done.stdout

    def drop(self, rate: int, seconds: float) -> Found:
        """Hold a drop with a coupon for everybody."""
        coupons = str(int(rate * seconds))
        asked = ("--rate", str(rate), "--seconds", str(seconds), "--coupons", coupons)
        found: Found = json.loads(self.run("drop", *asked, "--twice", "0", "--json"))
        return found

    def costs(self, role: str) -> list[float]:
        """Return the microseconds of CPU a claim, one for each drop."""
        return [drop["cpu"][role]["us_per_issuance"] for drop in self.drops if role in drop["cpu"]]


def main() -> int:
    """Hold the drops and write the page; 0 when a claim costs no more than 5 % more."""
    options = _options()
    with _both(options.commit) as sides:
        for side in sides:
            side.run("up", "--auth", "gateway")
            side.drop(options.rate, WARM_UP_SECONDS)
        for number in range(options.rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                side.drops.append(side.drop(options.rate, options.seconds))
                print(f"{side.name}: {side.costs('total')[-1]:.1f} us a claim", file=sys.stderr)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    page = options.folder / f"against-{day}.md"
    page.write_text(_page(*sides, options))
    print(page.read_text())
    before, now = (median(side.costs("total")) for side in sides)
    return 0 if now <= before * MORE_MAX else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "reports")
    return parser.parse_args()


@contextmanager
def _both(commit: str) -> Iterator[list[Side]]:
    """Lend the earlier commit and this one; remove both stacks at the end."""
    with tempfile.TemporaryDirectory(prefix="firstcome-against-") as name:
        folder = Path(name)
        earlier = folder / "earlier"
        _git("worktree", "add", "--detach", str(earlier), commit)
        sides = [
            Side(_git("rev-parse", "--short", commit), earlier / "src", folder / "before"),
            Side(_git("describe", "--always", "--dirty"), ROOT / "src", folder / "now"),
        ]
        try:
            yield sides
        finally:
            for side in sides:
                side.run("down", "--wipe")
            _git("worktree", "remove", "--force", str(earlier))


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _page(before: Side, now: Side, options: argparse.Namespace) -> str:
    drops = [*before.drops, *now.drops]
    noise = [(drop["steal_percent"] or 0.0, drop["others_percent"] or 0.0) for drop in drops]
    machine = " · ".join(f"{key} {value}" for key, value in sorted(drops[0]["environment"].items()))
    roles = [role for role in now.drops[0]["cpu"] if role != "total"]
    lines = [
        f"# The cost of a claim: {now.name} against {before.name}",
        "",
        f"{machine}. {options.rounds} drops each, in turn, at {options.rate:,} claims a second for "
        f"{options.seconds:g} s, generator on the same machine.",
        f"Steal at most {max(steal for steal, _ in noise)} %, others at most "
        f"{max(others for _, others in noise)} % of the machine.",
        "",
        "Microseconds of CPU a claim, median (least to most):",
        "",
        f"| process | {before.name} | {now.name} | change |",
        "| --- | --- | --- | --- |",
    ]
    for role in [*roles, "total"]:
        earlier, later = before.costs(role), now.costs(role)
        if earlier and later and median(earlier):
            change = f"{(median(later) / median(earlier) - 1) * 100:+.0f} %"
            lines.append(f"| {role} | {_spread(earlier)} | {_spread(later)} | {change} |")
    for title, key in (("HTTP", "http_accepted_ms"), ("asked to ISSUED", "issued_ms")):
        p95 = [_spread([drop[key]["p95"] or 0.0 for drop in side.drops]) for side in (before, now)]
        lines.append(f"| {title} p95, ms | {p95[0]} | {p95[1]} | |")
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> str:
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    sys.exit(main())
