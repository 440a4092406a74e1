"""One crowd and one fault, judged to the end whatever goes wrong on the way.

The ordeal of the fault tests fails at the first thing that does not happen. A planted bug may
make anything not happen, and the judges still have to say which law it broke.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from firstcome.bench.stack import RunningStack, started
from firstcome.drill.checker import Checker
from firstcome.drill.eventually import eventually
from firstcome.drill.history import Heard, Offer
from firstcome.drill.judge import Judge
from firstcome.drill.processes import Processes
from firstcome.drill.traffic import Traffic
from firstcome.errors import FirstcomeError
from tests.faults.plants.faults import FAULTS, Field
from tests.faults.plants.planting import Plant, environment

RATE = 260.0  # visitors a second
ACCEPTED_PER_SECOND_MIN = 100
LARGE, SMALL = 50_000, 150
DUE_SECONDS = 6.0
FINAL_SECONDS = DUE_SECONDS + 6.0  # the sweeper's patience, ticks, and a busy machine
FLOWS_SECONDS = 30.0
SETTINGS = {
    "FIRSTCOME_SWEEPER__DUE_AFTER_SECONDS": str(DUE_SECONDS),
    "FIRSTCOME_SWEEPER__TICK_SECONDS": "0.5",
}


class Finding(NamedTuple):
    """One sentence of a judge. `by`: a law of the checker, one of its own words, or `verify L1`."""

    by: str
    said: str


@contextmanager
def stack(folder: Path, plant: Plant | None) -> Iterator[tuple[RunningStack, Path]]:
    """Lend a stack whose processes carry the plant, and the folder of its failpoints."""
    points = folder / "failpoints"
    planted = environment(plant, folder / "proofs")
    settings = SETTINGS | {"FIRSTCOME_FAILPOINTS__FOLDER": str(points)} | planted
    with started(folder / "stack", "--api", "2", **settings) as running:
        yield running, points


class Exam:
    """One crowd's two campaigns: one that never runs out, one that is sold out soon."""

    def __init__(self, running: RunningStack, points: Path, seed: int) -> None:
        """The stack must run; `points` is the folder of its failpoints."""
        self._stack = running
        self._seed = seed
        self._offers = [
            Offer(running.create(LARGE, name="large"), LARGE, 0.75),
            Offer(running.create(SMALL, name="small"), SMALL, 0.25),
        ]
        self._judge = Judge(running, self._offers)
        self._processes = Processes(running, lambda fact: None)
        self._field = Field(self._processes, points, self._judge)
        self._found: list[Finding] = []

    def sit(self, fault: str) -> list[Finding]:
        """Let a crowd come and one fault hit; return what is found, nothing if all is well."""
        address = urlsplit(self._stack.urls["api"])
        place = (address.hostname or "", address.port or 0)
        with Traffic(
            place,
            self._stack.identify,
            self._offers,
            self._seed,
            RATE,
            forgeries=self._stack.forgeries(),
        ) as traffic:
            self._flows(traffic)
            FAULTS[fault](self._field)
            self._flows(traffic)
            traffic.stop()
            with self._expecting("undecided"):
                self._judge.settle(traffic, time.monotonic() + FINAL_SECONDS)
            with self._expecting("L6"):
                self._judge.sell_out(traffic, self._offers[1])
            if not self._found:
                with self._expecting("undecided"):
                    self._judge.settle(traffic, time.monotonic() + FINAL_SECONDS)
            heard = traffic.heard
        self._conclude(heard)
        return self._found

    def _flows(self, traffic: Traffic) -> None:
        """Wait until claims succeed at the rate that is asked for, from now on."""
        began = time.monotonic()
        with self._expecting("flow"):
            eventually(
                f"{ACCEPTED_PER_SECOND_MIN} claims are accepted in a second",
                lambda: traffic.accepted_since(max(began, time.monotonic() - 1)),
                lambda accepted: accepted >= ACCEPTED_PER_SECOND_MIN,
                seconds=FLOWS_SECONDS,
            )

    def _conclude(self, heard: list[Heard]) -> None:
        sentences = Checker(heard, self._judge.ended()).violations()
        sentences += [f"restarts: {said}" for said in self._processes.unexplained()]
        sentences += [*self._field.verified, *self._judge.verified()]
        for sentence in sentences:
            by, _, said = sentence.partition(": ")
            self._found.append(Finding(by.upper() if len(by) == 2 else by, said))

    @contextmanager
    def _expecting(self, by: str) -> Iterator[None]:
        """Let a wait that was in vain be a finding."""
        try:
            yield
        except FirstcomeError as error:
            self._found.append(Finding(by, str(error)))
