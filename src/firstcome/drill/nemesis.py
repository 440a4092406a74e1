"""Lets a schedule of faults loose on a stack under load, and says which of them were effective.

A fault is effective only if at least ACCEPTED_PER_SECOND_MIN claims a second succeeded in the five
seconds before it, claims were under way as it hit, it has proven that it hit, and no proof failed
as it healed. All others are kept apart, with the reason.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from firstcome.drill.faults import Misbehaved, Missed
from firstcome.drill.schedule import Planned
from firstcome.drill.traffic import Traffic

ACCEPTED_PER_SECOND_MIN = 100.0
BEFORE_SECONDS = 5.0
FLOW_SECONDS_MAX = 120.0
CLAIM_SECONDS_MAX = 0.5
POLL_SECONDS = 0.05


class Struck(msgspec.Struct):
    """One fault that was let loose, and what became of it. Times are monotonic seconds."""

    number: int
    kind: str
    target: str
    seconds: float
    is_overlapping: bool
    accepted_per_second: float = 0.0
    under_way: int = 0
    began: float = 0.0
    healed: float = 0.0
    evidence: str = ""
    missed: str = ""
    unhealed: str = ""

    @property
    def took_effect(self) -> bool:
        """Whether something broke for certain, whatever became of its proof later."""
        return bool(self.evidence)

    @property
    def is_effective(self) -> bool:
        """Whether it counts."""
        return (
            self.took_effect
            and not self.missed
            and not self.unhealed
            and self.accepted_per_second >= ACCEPTED_PER_SECOND_MIN
            and self.under_way > 0
        )

    def line(self, start: float) -> str:
        """Return it in one line; `start` is when the run began."""
        fate = self.unhealed or self.missed or self.evidence
        effective = "effective" if self.is_effective else "not counted"
        overlap = ", overlapping" if self.is_overlapping else ""
        return (
            f"{self.began - start:+6.0f} s {self.number:4} {self.kind:16} {self.target:16} "
            f"for {self.seconds:g} s ({self.healed - self.began:.1f}), "
            f"{self.accepted_per_second:.0f} claims/s, {self.under_way} under way{overlap}: "
            f"{effective}: {fate}"
        )


class Nemesis:
    """Runs a schedule against one stack, until its time is over."""

    def __init__(
        self, planned: Iterator[Planned], traffic: Traffic, say: Callable[[str], None]
    ) -> None:
        self.struck: list[Struck] = []
        self.stalled: list[str] = []
        self.resumed_seconds_max = 0.0
        self.start = time.monotonic()
        self._planned = planned
        self._traffic = traffic
        self._say = say
        self._over = threading.Event()

    def run(self, until: float) -> None:
        """Blocks. Everything is healed when it returns, by an error or Ctrl-C as well."""
        with ThreadPoolExecutor(2, thread_name_prefix="fault") as loose:
            before: Future[None] | None = None
            try:
                while time.monotonic() < until:
                    planned = next(self._planned)
                    if before is not None and not planned.is_overlapping:
                        self._await(before)
                        before = None
                    if not planned.is_overlapping:
                        self._await_flow()
                    self._over.wait(planned.gap)
                    latest = loose.submit(self._strike, planned)
                    before = self._both(before, latest) if before else latest
            finally:
                self._over.set()

    def _await(self, running: "Future[None]") -> None:
        while not running.done():
            time.sleep(POLL_SECONDS)  # Ctrl-C ends a sleep, not a wait for a result
        running.result()

    def _both(self, one: "Future[None]", other: "Future[None]") -> "Future[None]":
        self._await(one)
        return other

    def _await_flow(self) -> None:
        """Wait until claims succeed again; a stack that never recovers is a finding."""
        began = time.monotonic()
        needed = ACCEPTED_PER_SECOND_MIN * BEFORE_SECONDS
        while self._traffic.accepted_since(time.monotonic() - BEFORE_SECONDS) < needed:
            if time.monotonic() - began > FLOW_SECONDS_MAX:
                self.stalled.append(
                    f"claims did not flow again in {FLOW_SECONDS_MAX:.0f} s after fault "
                    f"{len(self.struck)}"
                )
                break
            time.sleep(POLL_SECONDS)
        self.resumed_seconds_max = max(self.resumed_seconds_max, time.monotonic() - began)

    def _await_claim(self) -> int:
        """Return as soon as claims are under way, and how many; 0 if there are none for long."""
        deadline = time.monotonic() + CLAIM_SECONDS_MAX
        while not (under_way := self._traffic.claims_under_way) and time.monotonic() < deadline:
            time.sleep(0.001)
        return under_way

    def _strike(self, planned: Planned) -> None:
        struck = Struck(
            planned.number,
            planned.move.kind,
            planned.move.target,
            planned.seconds,
            planned.is_overlapping,
        )
        struck.under_way = self._await_claim()
        struck.began = now = time.monotonic()
        struck.accepted_per_second = (
            self._traffic.accepted_since(now - BEFORE_SECONDS) / BEFORE_SECONDS
        )
        heal: Callable[[], str] = str
        try:
            fault = planned.fault()
            heal = fault.heal
            struck.evidence = fault.inject()
            struck.under_way = max(struck.under_way, self._traffic.claims_under_way)
            self._over.wait(planned.seconds)
        except Missed as error:
            struck.missed = str(error)
        except Exception as error:  # whatever it was, the others of the schedule go on
            struck.missed = f"{type(error).__name__}: {error}"
        finally:
            self._heal(heal, struck)
            self.struck.append(struck)
            self._say(struck.line(self.start))

    def _heal(self, heal: Callable[[], str], struck: Struck) -> None:
        try:
            heal()
        except Missed as error:
            struck.missed = struck.missed or str(error)
        except Misbehaved as error:
            struck.unhealed = str(error)
        except Exception as error:
            struck.unhealed = f"not healed: {type(error).__name__}: {error}"
        struck.healed = time.monotonic()
