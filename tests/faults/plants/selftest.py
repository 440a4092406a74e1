"""Every plant in turn, each in a stack of its own: the harness must catch it.

    python -m tests.faults.plants.selftest [--seed N] [--jobs N] [--report FILE] [NAME...]

First the same faults hit where nothing is planted, and nothing may be found. Exit code 1: a plant
survived or did not run, or something was found where nothing was planted.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory

from tests.faults.plants.catalogue import PLANTS
from tests.faults.plants.exam import Exam, Finding, stack
from tests.faults.plants.planting import Plant
from tests.faults.plants.report import HEAD, Result, page, row


def examine(plant: Plant, seed: int) -> Result:
    """Start a stack that carries the plant, and let its fault hit."""
    began = time.monotonic()
    found: list[Finding] = []
    trouble = ""
    with TemporaryDirectory(prefix="plant-") as name:
        folder = Path(name)
        try:
            with stack(folder, plant) as (running, points):
                found = Exam(running, points, seed).sit(plant.fault)
        except Exception:
            trouble = traceback.format_exc()
        if not trouble and not list((folder / "proofs").glob(f"{plant.name}.*")):
            trouble = "the planted code never ran"
    return Result(plant.fault, plant, found, time.monotonic() - began, trouble)


def control(faults: Collection[str], seed: int) -> Iterator[Result]:
    """Let the faults hit one after the other in one stack where nothing is planted."""
    if not faults:
        return
    with (
        TemporaryDirectory(prefix="no-plant-") as name,
        stack(Path(name), None) as (
            running,
            points,
        ),
    ):
        for number, fault in enumerate(faults):
            began = time.monotonic()
            found: list[Finding] = []
            trouble = ""
            try:
                found = Exam(running, points, seed + number).sit(fault)
            except Exception:
                trouble = traceback.format_exc()
            yield Result(fault, None, found, time.monotonic() - began, trouble)


def examined(plants: Iterable[Plant], seed: int, jobs: int) -> Iterator[Result]:
    """Return each plant's result, so many plants at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda plant: examine(plant, seed), plants)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="plants; default: all")
    parser.add_argument("--seed", type=int, help="repeats a run; default: a new one")
    parser.add_argument("--jobs", type=int, default=2, help="stacks at a time")
    parser.add_argument("--planted-only", action="store_true", help="no faults without a plant")
    parser.add_argument("--report", type=Path, help="write the report there")
    asked = parser.parse_args()
    seed = SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    plants = [PLANTS[name] for name in asked.names] or list(PLANTS.values())
    print(f"seed {seed}\n{row(HEAD)}", flush=True)
    began = time.monotonic()
    results: list[Result] = []
    sound = () if asked.planted_only else dict.fromkeys(plant.fault for plant in plants)
    for result in chain(control(sound, seed), examined(plants, seed, asked.jobs)):
        print(result.words(), flush=True)
        results.append(result)
    seconds = time.monotonic() - began
    passed = sum(result.passed for result in results)
    print(f"{passed} of {len(results)} as they have to be, {seconds:.0f} s")
    if asked.report:
        asked.report.write_text(page(results, seed, seconds))
    return 0 if passed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
