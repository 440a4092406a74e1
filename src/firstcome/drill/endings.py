"""Faults of processes: one is ended and stays away, or stands still, for as long as is asked.

An ended process is started again by the stack's own supervisor; to keep it away, the supervisor
stands still meanwhile. What happens to an engine's data while it is away is data.py's.
"""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import Random

from firstcome.drill.eventually import eventually
from firstcome.drill.faults import Fault, Move
from firstcome.drill.processes import END_SECONDS, Processes, is_dead

# SIGTERM asks PostgreSQL to wait for its clients, who never leave; SIGINT ends it as `down` does.
ENDING = {"postgres": signal.SIGINT}


class Ended:
    """A process is ended by a signal; `meanwhile` is done once it is dead."""

    def __init__(
        self,
        processes: Processes,
        name: str,
        ending: signal.Signals,
        meanwhile: Callable[[], str] = str,
    ) -> None:
        """`name` is that of the stack's status."""
        self._processes = processes
        self._name = name
        self._ending = ending
        self._meanwhile = meanwhile
        self._loose = ExitStack()

    def inject(self) -> str:
        """End it and return once it is dead; nobody starts it again before heal()."""
        pid = self._loose.enter_context(self._processes.noticed(self._name))
        self._loose.enter_context(self._processes.nobody_restarted())
        os.kill(pid, self._ending)
        eventually(f"{self._name} is dead", lambda: is_dead(pid), seconds=END_SECONDS)
        done = self._meanwhile()
        fact = f"{self._name}: pid {pid} ended by {self._ending.name}"
        return self._processes.note(f"{fact}; {done}" if done else fact)

    def heal(self) -> str:
        """Let it be started again; return when its successor works."""
        self._loose.close()
        return f"{self._name} works again"


class Frozen:
    """A process and its children stand still."""

    def __init__(self, processes: Processes, name: str) -> None:
        self._processes = processes
        self._name = name
        self._loose = ExitStack()

    def inject(self) -> str:
        """SIGSTOP."""
        self._loose.enter_context(self._processes.frozen(self._name))
        return f"{self._name}: the kernel shows it as stopped"

    def heal(self) -> str:
        """SIGCONT."""
        self._loose.close()
        return f"{self._name} goes on"


def moves(processes: Processes) -> list[Move]:
    """Return kill -9, an orderly end and standing still, for every process of the stack."""
    found = []
    for each in processes.status()["processes"]:
        name, role = each["name"], each["role"]
        for kind, ending in (("kill", signal.SIGKILL), ("stop", ENDING.get(role, signal.SIGTERM))):
            found.append(Move(kind, name, partial(_ended, processes, name, ending)))
        found.append(Move("freeze", name, partial(_frozen, processes, name)))
    return found


def _ended(
    processes: Processes, name: str, ending: signal.Signals, random: Random, seconds: float
) -> Fault:
    return Ended(processes, name, ending)


def _frozen(processes: Processes, name: str, random: Random, seconds: float) -> Fault:
    return Frozen(processes, name)
