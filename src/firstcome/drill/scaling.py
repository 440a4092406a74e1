"""Recorders come and go under load: what a lag costs with one and with an autoscaler, and cycles.

Each part is one rehearsal, judged by the laws. The lag goes away twice with each: over a slow link
between recorders and PostgreSQL, as of a network, where waiting is the limit, which more recorders
share; and without it, where they compete for the CPUs of this machine. How busy those were is
measured, so that the report can say what the limit was.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import msgspec

from firstcome.bench.stack import settings_of, started
from firstcome.drill.eventually import wait
from firstcome.drill.links import linked
from firstcome.drill.processes import Processes
from firstcome.drill.rehearsal import Load, rehearse
from firstcome.drill.stage import Stage
from firstcome.errors import LogUnavailable, Unavailable
from firstcome.eventlog.admin import LogAdmin
from firstcome.local.folder import StackFolder
from firstcome.local.stack import Stack

Tell = Callable[[str], None]
LINK = "recorder.postgres"
LINK_SECONDS = 0.01  # each way
LOOK_SECONDS = 0.1
DRAINED_RECORDS = 5  # heartbeats, and what the probes have just asked for
# How slow a recorder was to come is told; on a busy machine that is no failure.
DRAIN_SECONDS_MAX, LEAVE_SECONDS_MAX, READY_SECONDS_MAX = 180.0, 120.0, 120.0
CYCLE_SECONDS = 9.0  # more than one usually takes; the load goes on for as many
AT_ONCE_MAX = 6
# Recorders leave soon, so that the drill sees it.
HASTY = {"FIRSTCOME_AUTOSCALER__COOLDOWN_SECONDS": "20"}
SMALL = {
    # Small transactions wait for the link often.
    "FIRSTCOME_RECORDER__TRANSACTION_ROWS_MAX": "1000",
    "FIRSTCOME_RECORDER__POLL_RECORDS_MAX": "50",
}


class Drained(msgspec.Struct, frozen=True):
    """How one lag went away. Seconds after the recorders could begin."""

    name: str
    load: Load
    lag_records: int
    drained_seconds: float
    added_seconds: float | None  # until the first recorder more was wanted
    ready_seconds: float | None  # until it worked
    recorders_max: int
    recorders_end: int
    busy_share: float  # of all CPUs, by whatever ran on this machine meanwhile
    violations: list[str]


class Cycled(msgspec.Struct, frozen=True):
    """How recorders came and went under load."""

    load: Load
    cycles: int
    under_load: int  # of the cycles
    came: int
    left: int
    slowest_come_seconds: float
    slowest_leave_seconds: float
    violations: list[str]


@contextmanager
def near_stage(tell: Tell) -> Iterator[Stage]:
    """Lend a stack with an autoscaler and, but for its cooldown, default settings."""
    with (
        tempfile.TemporaryDirectory(prefix="firstcome-drill-") as folder,
        started(Path(folder) / "stack", "--autoscale", **HASTY) as stack,
    ):
        yield Stage(stack, Processes(stack, tell), settings_of(stack))


@contextmanager
def slow_stage(tell: Tell) -> Iterator[Stage]:
    """Lend a stack with an autoscaler whose recorders are far from their database."""
    with (
        tempfile.TemporaryDirectory(prefix="firstcome-drill-") as folder,
        linked(state := Path(folder) / "stack") as links,
    ):
        shape = json.dumps({"links": {LINK: links[LINK].port}})
        with started(state, "--autoscale", "--shape", shape, **HASTY, **SMALL) as stack:
            links.run(links[LINK].slow(LINK_SECONDS))
            yield Stage(stack, Processes(stack, tell), settings_of(stack))


def drain(stage: Stage, load: Load, tell: Tell, *, autoscale: bool) -> Drained:
    """Let a lag grow before one recorder, then let it go, with or without the autoscaler."""
    watch = _Watch(stage)
    found: dict[str, float | None] = {}

    def act(started_at: float) -> None:
        faults = stage.processes
        with ExitStack() as alone:
            if not autoscale:
                alone.enter_context(faults.frozen("autoscaler-1"))
            with faults.frozen("recorder-1"), ExitStack() as meanwhile:
                if autoscale:
                    meanwhile.enter_context(faults.frozen("autoscaler-1"))
                wait(started_at + load.seconds - time.time())
                found["lag"] = watch.lag()
            tell(f"{found['lag']:.0f} records wait for one recorder")
            found.update(watch.drained())
        tell(
            f"drained in {found['drained']:.1f} s by {watch.most} recorders at most, CPUs "
            f"{found['busy']:.0%} busy; more were wanted after {found['added']} s"
        )
        if autoscale:
            watch.until_one()

    seen = rehearse(stage, load, act, tell)
    tell(f"{len(seen.violations)} violations")
    return Drained(
        name="autoscaler" if autoscale else "one recorder",
        load=load,
        lag_records=int(found["lag"] or 0),
        drained_seconds=found["drained"] or 0.0,
        added_seconds=found["added"],
        ready_seconds=found["ready"],
        recorders_max=watch.most,
        recorders_end=watch.stack.recorders(),
        busy_share=found["busy"] or 0.0,
        violations=seen.violations,
    )


def cycle(stage: Stage, cycles: int, rate: float, seed: int, tell: Tell) -> Cycled:
    """Let recorders come and go by hand, again and again, under load."""
    seconds = cycles * CYCLE_SECONDS
    load = Load(rate, seconds, int(rate * seconds * 0.9), seed, twice=0.1)
    stack, chance = Stack(StackFolder(stage.stack.state)), Random(seed)
    come, leave, ended = list[float](), list[float](), list[float]()
    moved = 0

    def scaled(count: int) -> float:
        began = time.monotonic()
        stack.scale(count)
        stack.await_recorders(count, READY_SECONDS_MAX)
        return time.monotonic() - began

    def act(started_at: float) -> None:
        nonlocal moved
        for number in range(1, cycles + 1):
            count = chance.randint(2, AT_ONCE_MAX)
            come.append(scaled(count))
            leave.append(scaled(1))
            ended.append(time.time() - started_at)
            moved += count - 1
            tell(f"cycle {number}: 1, {count}, 1 recorders in {come[-1] + leave[-1]:.1f} s")

    seen = rehearse(stage, load, act, tell)
    tell(f"{len(seen.violations)} violations")
    under_load = sum(at <= seconds for at in ended)
    slowest = max(come), max(leave)
    return Cycled(load, cycles, under_load, moved, moved, *slowest, seen.violations)


class _Watch:
    """Looks at the log and at the recorders while a lag goes away."""

    def __init__(self, stage: Stage) -> None:
        self.stack = Stack(StackFolder(stage.stack.state))
        self.most = 1
        self._admin = LogAdmin(stage.settings.kafka, timeout_seconds=2.0)

    def lag(self) -> int:
        """Return how many records wait."""
        return self._admin.lag()

    def drained(self) -> dict[str, float | None]:
        """Look until the lag is gone; return the moments, in seconds from now."""
        import psutil  # only where a stack runs

        began = time.monotonic()
        psutil.cpu_percent()  # the next answer counts from now
        moments: dict[str, float | None] = {"added": None, "ready": None}
        while True:
            passed = time.monotonic() - began
            if moments["added"] is None and self.stack.recorders() > 1:
                moments["added"] = passed
            ready = self.stack.counted("recorder")["ready"]
            if moments["ready"] is None and ready > 1:
                moments["ready"] = passed
            self.most = max(self.most, ready)
            if self._is_drained():
                return moments | {"drained": passed, "busy": psutil.cpu_percent() / 100}
            if passed > DRAIN_SECONDS_MAX:
                raise Unavailable(f"{self.lag()} records still wait after {passed:.0f} s")
            time.sleep(LOOK_SECONDS)

    def until_one(self) -> None:
        """Return when all recorders but one have left. Raises Unavailable."""
        deadline = time.monotonic() + LEAVE_SECONDS_MAX
        while self.stack.recorders() > 1:
            if time.monotonic() > deadline:
                raise Unavailable(f"{self.stack.recorders()} recorders are still wanted")
            time.sleep(LOOK_SECONDS)
        self.stack.await_recorders(1, READY_SECONDS_MAX)

    def _is_drained(self) -> bool:
        try:
            return self.lag() <= DRAINED_RECORDS
        except LogUnavailable:
            return False
