"""What is read around a load: percentiles, CPU time of processes, steal, Redis' memory.

Percentiles are exact: every value is kept and sorted. CPU time comes from the
kernel's own accounts, so it needs no cooperation of the measured. Where the
kernel has no /proc, CPU time and steal are unknown, which is said, not guessed.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId

_PROC = Path("/proc")
# Beyond these the machine was not ours, and times say little.
STEAL_PERCENT_MAX = 2.0
OTHERS_PERCENT_MAX = 10.0


class Spread(msgspec.Struct, frozen=True):
    """How long things took, in milliseconds; None without a single value."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Spread":
        """Sort and read off; no interpolation, no buckets."""
        values = sorted(seconds)
        if not values:
            return cls(0)
        p50, p95, p99 = (round(percentile(values, p) * 1000, 3) for p in (50, 95, 99))
        return cls(len(values), p50, p95, p99, round(values[-1] * 1000, 3))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of the sorted values that `percent` of all do not exceed."""
    return values[max(0, math.ceil(len(values) * percent / 100) - 1)]


class CpuTimes(msgspec.Struct, frozen=True):
    """CPU seconds used so far by each group of processes, children included."""

    seconds: dict[str, float]

    @classmethod
    def read(cls, groups: Mapping[str, Sequence[int]]) -> "CpuTimes":
        """Read those of named groups of process ids; a group without a living one is left out."""
        times, children = _process_table()
        seconds = {}
        for name, pids in groups.items():
            living = [pid for pid in pids if pid in times]
            if living:
                seconds[name] = sum(_tree_seconds(pid, times, children) for pid in living)
        return cls(seconds)

    def since(self, before: "CpuTimes") -> dict[str, float]:
        """Return the seconds used since `before`; a restarted process counts from its start."""
        return {
            name: max(0.0, now - before.seconds.get(name, 0.0))
            for name, now in self.seconds.items()
        }


def is_alive(pid: int) -> bool:
    """Return whether a process is there; where the kernel has no /proc, nothing is known to die."""
    return not (_PROC / "self").exists() or (_PROC / str(pid)).exists()


def process_trees(groups: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Return the process ids of each group with those of all their children."""
    _, children = _process_table()

    def tree(pid: int) -> list[int]:
        return [pid, *(below for child in children.get(pid, ()) for below in tree(child))]

    return {name: [each for pid in pids for each in tree(pid)] for name, pids in groups.items()}


def _process_table() -> tuple[dict[int, float], dict[int, list[int]]]:
    """Return CPU seconds, ended children included, and living children, by process id."""
    tick = os.sysconf("SC_CLK_TCK")
    times: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for folder in _PROC.glob("[0-9]*"):
        try:
            # After the name, which may hold anything: field 4 is the parent, 14-17 are times.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        pid = int(folder.name)
        times[pid] = sum(int(field) for field in fields[11:15]) / tick
        children.setdefault(int(fields[1]), []).append(pid)
    return times, children


def _tree_seconds(pid: int, times: dict[int, float], children: dict[int, list[int]]) -> float:
    below = (_tree_seconds(child, times, children) for child in children.get(pid, ()))
    return times[pid] + sum(below)


class MachineTimes(msgspec.Struct, frozen=True):
    """Seconds of all cores together: all of them, those at work, those the hypervisor took."""

    total: float = 0.0
    busy: float = 0.0
    stolen: float = 0.0

    @classmethod
    def read(cls) -> "MachineTimes":
        """Read them; zeros where the kernel has no /proc/stat."""
        try:
            line = (_PROC / "stat").read_text().partition("\n")[0]
        except OSError:
            return cls()
        tick = os.sysconf("SC_CLK_TCK")
        # user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already.
        times = [int(part) / tick for part in line.split()[1:9]]
        return cls(sum(times), sum(times) - times[3] - times[4] - times[7], times[7])

    def steal_percent(self, before: "MachineTimes") -> float | None:
        """Return the share of time stolen since `before`, or None where it is unknown."""
        return self._percent(self.stolen - before.stolen, before)

    def busy_percent(self, before: "MachineTimes") -> float | None:
        """Return the share of time at work since `before`, or None where it is unknown."""
        return self._percent(self.busy - before.busy, before)

    def others_percent(self, before: "MachineTimes", ours: float) -> float | None:
        """Return the share of time spent on anything but `ours`, seconds of CPU, since `before`."""
        return self._percent(max(0.0, self.busy - before.busy - ours), before)

    def _percent(self, seconds: float, before: "MachineTimes") -> float | None:
        total = self.total - before.total
        return round(100 * seconds / total, 2) if total > 0 else None


def used_memory(session: GateSession) -> int:
    """Return the bytes that Redis has allocated. Raises GateUnavailable."""
    reply = session.call("INFO", "memory")
    assert isinstance(reply, bytes)  # noqa: S101 - INFO's only type
    for line in reply.decode().splitlines():
        if line.startswith("used_memory:"):
            return int(line.partition(":")[2])
    raise ValueError("INFO memory names no used_memory")


def journals_empty(session: GateSession, campaigns: Iterable[tuple[CampaignId, int]]) -> bool:
    """Tell whether the journals of (campaign, epoch) pairs hold nothing any more."""
    return not any(
        session.call("XLEN", keys.journal(campaign_id, epoch)) for campaign_id, epoch in campaigns
    )
