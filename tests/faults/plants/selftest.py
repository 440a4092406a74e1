"""Every plant in turn, each in a stack of its own: the harness must catch it.

    python -m tests.faults.plants.selftest [--seed N] [--jobs N] [--report FILE] [NAME...]

Beside them the same faults hit where nothing is planted, and nothing may be found. Exit code 1:
a plant survived or did not run, or something was found where nothing was planted.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory

from tests.faults.plants.catalogue import PLANTS
from tests.faults.plants.exam import Exam, Finding, stack
from tests.faults.plants.planting import Plant
from tests.faults.plants.report import HEAD, Result, commit_now, keep, kept, page, row


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


def control(faults: Collection[str], seed: int, tell: Callable[[Result], None]) -> None:
    """Let the faults hit one after the other in one stack where nothing is planted."""
    with TemporaryDirectory(prefix="no-plant-") as name, stack(Path(name), None) as place:
        for number, fault in enumerate(faults):
            began = time.monotonic()
            found: list[Finding] = []
            trouble = ""
            try:
                found = Exam(*place, seed + number).sit(fault)
            except Exception:
                trouble = traceback.format_exc()
            tell(Result(fault, None, found, time.monotonic() - began, trouble))


def faults_of(plants: Iterable[Plant]) -> list[str]:
    """Return the faults that these plants need, each once."""
    return list(dict.fromkeys(plant.fault for plant in plants))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="plants; default: all")
    parser.add_argument("--seed", type=int, help="repeats a run; default: a new one")
    parser.add_argument("--jobs", type=int, default=2, help="stacks at a time")
    parser.add_argument("--planted-only", action="store_true", help="no faults without a plant")
    parser.add_argument("--report", type=Path, help="write the report there")
    parser.add_argument("--keep", type=Path, help="keep results there; what is there is done")
    asked = parser.parse_args()
    seed = SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    plants = [PLANTS[name] for name in asked.names] or list(PLANTS.values())
    print(f"seed {seed}\n{row(HEAD)}", flush=True)
    commit = commit_now()
    results = kept(asked.keep, PLANTS) if asked.keep else []
    done = {result.name for result in results}

    def tell(result: Result) -> None:
        results.append(here := result._replace(commit=commit))
        print(f"{here.words()}\n", end="", flush=True)
        if asked.keep:
            keep(asked.keep, here)

    sound = [] if asked.planted_only else faults_of(plants)
    sound = [fault for fault in sound if f"none: {fault}" not in done]
    with ThreadPoolExecutor(asked.jobs) as pool:
        work = [pool.submit(control, sound, seed, tell)] if sound else []
        work += [
            pool.submit(lambda each: tell(examine(each, seed)), plant)
            for plant in plants
            if plant.name not in done
        ]
    for each in work:
        each.result()  # raises what a stack without a plant has met
    results.sort(key=lambda result: list(PLANTS).index(result.plant.name) if result.plant else -1)
    passed = sum(result.passed for result in results)
    print(f"{passed} of {len(results)} as they have to be")
    if asked.report:
        asked.report.write_text(page(results, seed))
    return 0 if passed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
