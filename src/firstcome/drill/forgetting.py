"""Redis loses its machine in mid-drop: what each engine's promises are worth then.

A power failure takes what Redis had written but not yet synced. Here Redis is killed, and the
end of its append-only file is cut off before it starts again: with `everysec` all that was
written in the last second, which is what that setting risks; with `always` nothing, because
no answer leaves before its write is synced. What is lost is counted user by user: who was told
yes and ended without a coupon. With recorders at work little is, for rows follow within some
ten milliseconds; with recorders that stand still, all that was not synced.
"""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from firstcome.bench.answers import REQUESTED
from firstcome.bench.crowd import Crowd, user_id
from firstcome.bench.run import Loss
from firstcome.drill.endings import Ended
from firstcome.drill.eventually import wait
from firstcome.drill.rehearsal import Load, Rehearsed, rehearse
from firstcome.drill.stage import Stage
from firstcome.gate.session import GateSession
from firstcome.model import Engine, Status

RATE = 1000.0
BEFORE_SECONDS, STILL_SECONDS, AFTER_SECONDS = 8.0, 3.0, 20.0
# A claim whose owner is owed a row has it by then, or never will: the sweeper's age and two ticks.
FINAL_SECONDS = 45.0
RISK_SECONDS = {"everysec": 1.0, "always": 0.0}
LOOK_SECONDS = 0.02
# What follows from a lost promise, which is counted: no row, no end, a place given again.
EXPLAINED = {
    "L3",
    "L5",
    "everybody who was told so has a coupon, at that position",
    "first come, first served",
    "not everything was final in its time",
}


class Case(NamedTuple):
    """One engine with one setting of Redis."""

    engine: Engine
    fsync: str
    still: bool  # the recorders stand still before the kill


CASES = (
    Case(Engine.QUEUE, "everysec", still=False),
    Case(Engine.QUEUE, "everysec", still=True),
    Case(Engine.QUEUE, "always", still=True),
    Case(Engine.KAFKA, "everysec", still=True),
)


class UnsyncedEnd:
    """Watches how the append-only file grows, to cut off what a second had added."""

    def __init__(self, state: Path, seconds: float) -> None:
        self._folder = state / "redis" / "appendonlydir"
        self._seconds = seconds
        self._sizes: list[tuple[float, Path, int]] = []
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "UnsyncedEnd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def cut(self) -> str:
        """Cut it while Redis is dead; return what was done."""
        self._left.set()
        self._thread.join()
        if not self._seconds:
            return "nothing cut: what was answered had been synced"
        newest = self._newest()
        before, until = newest.stat().st_size, self._last_growth() - self._seconds
        sizes = [size for at, path, size in self._sizes if path == newest and at <= until]
        synced = sizes[-1] if sizes else 0
        with newest.open("r+b") as file:
            file.truncate(synced)
        return f"{newest.name} cut from {before} bytes to its {synced} of {self._seconds:g} s ago"

    def _newest(self) -> Path:
        return max(self._folder.glob("*.incr.aof"), key=lambda file: file.stat().st_mtime)

    def _last_growth(self) -> float:
        """Return when the file was last seen to grow."""
        last = self._sizes[-1]
        return next((at for at, path, size in self._sizes if (path, size) == last[1:]), last[0])

    def _watch(self) -> None:
        while not self._left.wait(LOOK_SECONDS):
            with suppress(FileNotFoundError, ValueError):  # the file is being replaced
                newest = self._newest()
                self._sizes.append((time.monotonic(), newest, newest.stat().st_size))


def forget(stage: Stage, case: Case, seed: int, tell: Callable[[str], None]) -> Loss:
    """Do it on a fresh stage; takes about 90 s."""
    whole = BEFORE_SECONDS + STILL_SECONDS + AFTER_SECONDS
    load = Load(
        RATE,
        whole,
        # Gone well after the return: a place that nobody has shows as a coupon that is left.
        round(RATE * (whole - AFTER_SECONDS / 2)),
        seed,
        hang_seconds=1.5,
        engine=case.engine,
        final_seconds=FINAL_SECONDS,
    )
    moments: list[float] = []
    evidence: list[str] = []
    with GateSession.open(stage.settings.redis) as session:
        session.call("CONFIG", "SET", "appendfsync", case.fsync)

    def act(started_at: float) -> None:
        wait(started_at + BEFORE_SECONDS - time.time())
        with ExitStack() as still:
            for name in stage.names("recorder") if case.still else ():
                still.enter_context(stage.processes.frozen(name))
            with UnsyncedEnd(stage.stack.state, RISK_SECONDS[case.fsync]) as end:
                wait(STILL_SECONDS)

                def cut(end: UnsyncedEnd = end) -> str:
                    moments.append(time.time() - started_at)  # it is dead from here on
                    return end.cut()

                fault = Ended(stage.processes, "redis", signal.SIGKILL, cut)
                try:
                    evidence.append(fault.inject())
                finally:
                    still.close()
                    tell(fault.heal())

    return loss(rehearse(stage, load, act, tell), case, moments[0], "; ".join(evidence))


def loss(seen: Rehearsed, case: Case, killed: float, evidence: str) -> Loss:
    """Count, user by user. Pure."""
    answers, load = seen.answers, seen.load
    crowd = Crowd(round(load.rate * load.seconds / (1 + load.twice)), 1, load.twice, seed=load.seed)
    told = {
        user_id(user): answers.position[request]
        for request, user in enumerate(crowd.order())
        if answers.code[request] == REQUESTED
    }
    held = {
        row.user_id: row.position
        for offer in seen.offers
        for row in offer.rows
        if row.status == Status.ISSUED
    }
    again = [
        done
        for sent, done, code in zip(answers.sent, answers.done, answers.code, strict=True)
        if code == REQUESTED and sent > killed
    ]
    return Loss(
        engine=case.engine,
        fsync=case.fsync,
        recorders="standing still" if case.still else "working",
        seed=load.seed,
        rate=load.rate,
        promised=len(told),
        lost=sum(user not in held for user in told),
        moved=sum(user in held and held[user] != position for user, position in told.items()),
        resumed_seconds=round(min(again) - killed, 1) if again else None,
        evidence=evidence,
        broken=sorted({said.partition(":")[0] for said in seen.violations} - EXPLAINED),
    )
