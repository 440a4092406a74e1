"""The failpoint sweep: named points of the path are broken one after the other, under a crowd.

Each wave arms its points, makes processes come by, keeps the proof that each was taken, and
waits until every process works again and claims flow. The cases of a group are judged
together at its end, as any other ordeal is.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from firstcome import failpoints
from firstcome.bench.stack import RunningStack
from firstcome.drill.cases import REBUILD, Case, Group, Wave
from firstcome.drill.eventually import NotSeen, eventually, wait
from firstcome.drill.history import Heard
from firstcome.drill.ordeal import ACCEPTED_PER_SECOND_MIN, Ordeal
from firstcome.drill.processes import Processes, is_dead
from firstcome.drill.triggers import Triggers
from firstcome.failpoints import Action

# A coupon for everybody, however long a group takes.
LARGE = 1_000_000
FLOW_SECONDS = 90.0
TAKEN_SECONDS = 90.0
# What was asked for may come to nothing, as a cancellation that a busy PostgreSQL was too slow for.
TRIGGER_SECONDS = 30.0
DEAD_SECONDS = 30.0


class Broken(NamedTuple):
    """A case that has hit: the process, and the seconds until all was well again."""

    case: Case
    process: str
    pid: int
    healed_seconds: float


class Sweep:
    """Breaks a stack that was started with `failpoints.folder` at <state>/failpoints."""

    def __init__(
        self, stack: RunningStack, *, pause_seconds: float, say: Callable[[str], None] = print
    ) -> None:
        self._stack = stack
        self._folder = stack.state / "failpoints"
        self._pause_seconds = pause_seconds
        self._say = say
        self._silences: list[tuple[float, float]] = []  # when an api process stood still
        self.broken: list[Broken] = []

    def undergo(self, group: Group, seed: int, final_within: float) -> None:
        """Break every wave of a group under one crowd, then judge. Raises LawsBroken, NotSeen."""
        ordeal = Ordeal(self._stack, seed, self._say, large=LARGE, excused=self._is_excused)
        triggers = Triggers(ordeal.processes, ordeal.offers[0].campaign_id)

        def break_all(processes: Processes) -> None:
            for wave in group.waves:
                self._break(wave, ordeal, triggers)

        try:
            ordeal.undergo(break_all, final_within)
        finally:
            failpoints.disarm(self._folder)

    def _break(self, wave: Wave, ordeal: Ordeal, triggers: Triggers) -> None:
        processes = ordeal.processes
        for proof in failpoints.taken(self._folder):
            proof.unlink()
        names = _names(processes)
        began = time.monotonic()
        for case in wave:
            self._arm(case)
        for trigger in dict.fromkeys(case.trigger for case in wave if case.trigger):
            triggers.named(trigger)()
        hits = [(case, self._await_proof(case, triggers)) for case in wave]
        for case, pid in hits:
            self._outlast(case, names.get(pid) or f"{case.role}-1", pid, processes)
        self._await_health(ordeal)
        seconds = time.monotonic() - began
        self.broken += [
            Broken(case, names.get(pid) or f"{case.role}-1", pid, seconds) for case, pid in hits
        ]

    def _arm(self, case: Case) -> None:
        words = case.action.value
        if case.action is Action.PAUSE:
            words = f"{words} {self._pause_seconds:g}"
        failpoints.arm(self._folder, case.point, words, role=case.role)

    def _await_proof(self, case: Case, triggers: Triggers) -> int:
        """Return the pid of the process that took the token; ask again for what nobody did."""
        token = f"{case.point}@{case.role}.taken-"

        def pids() -> list[int]:
            names = [proof.name for proof in failpoints.taken(self._folder)]
            return [int(name.removeprefix(token)) for name in names if name.startswith(token)]

        deadline = time.monotonic() + TAKEN_SECONDS
        while True:
            try:
                found: list[int] = eventually(
                    f"{case.point} is passed", pids, seconds=TRIGGER_SECONDS
                )
            except NotSeen:
                if time.monotonic() > deadline:
                    raise
                if case.trigger and case.kind != REBUILD:  # a rebuild is under way still
                    triggers.named(case.trigger)()
            else:
                return found[0]

    def _outlast(self, case: Case, name: str, pid: int, processes: Processes) -> None:
        """Wait until the process is dead if it must be, or until it goes on."""
        processes.note(f"{case.point}: {case.action.value} taken by {name}, pid {pid}")
        if case.is_deadly:
            processes.restarts[name] += 1
            eventually(f"{name} is dead", lambda: is_dead(pid), seconds=DEAD_SECONDS)
            # Until the supervisor has noticed, its status calls the dead one ready.
            eventually(
                f"the death of {name} is noticed",
                lambda: processes.named(name)["pid"],
                lambda seen: seen != pid,
                seconds=DEAD_SECONDS,
            )
        elif case.action is Action.PAUSE:
            # The proof was renamed when the pause began.
            proof = self._folder / f"{case.point}@{case.role}.taken-{pid}"
            ago = time.time() - proof.stat().st_ctime
            wait(self._pause_seconds - ago)
            eventually(f"{name} goes on", lambda: not _stands_still(pid), seconds=DEAD_SECONDS)
            if case.role == "api":
                now = time.monotonic()
                self._silences.append((now - max(ago, self._pause_seconds) - 1, now + 1))

    def _await_health(self, ordeal: Ordeal) -> None:
        """Wait until every process works and claims flow."""

        def sick() -> list[str]:
            status = ordeal.processes.status()["processes"]
            return [each["name"] for each in status if each["state"] != "ready"]

        eventually("every process works", sick, lambda seen: not seen, seconds=FLOW_SECONDS)
        eventually(
            f"{ACCEPTED_PER_SECOND_MIN} claims are accepted in a second",
            ordeal.accepted_now,
            lambda seen: seen >= ACCEPTED_PER_SECOND_MIN,
            seconds=FLOW_SECONDS,
        )

    def _is_excused(self, heard: Heard) -> bool:
        """Nobody can answer who stands still."""
        return any(heard.invoked < end and heard.answered > begin for begin, end in self._silences)


def _names(processes: Processes) -> dict[int, str]:
    return {each["pid"]: each["name"] for each in processes.status()["processes"]}


def _stands_still(pid: int) -> bool:
    import psutil  # only where a stack runs

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False
