"""What the kernel says of the machine and of the stack's processes, by role.

Works without the help of those that are looked at. A process that ends takes its
CPU time with it; the rate of its role is then too low for one sample.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from firstcome.bench.collect.collector import Rates, Values
from firstcome.bench.measure import CpuTimes, MachineTimes, process_trees

_PROC = Path("/proc")
BROKER = "kafka"  # the role


class Machine:
    """CPU, memory and steal, and what the broker reads and writes."""

    def __init__(self, processes: Callable[[], Mapping[str, Sequence[int]]]) -> None:
        """`processes` tells the process ids by role; asked once."""
        self._groups = dict(processes())
        self._cpu, self._io = Rates(), Rates()
        self._times = MachineTimes.read()

    def read(self) -> Values:
        """Look once."""
        trees = process_trees(self._groups)  # each session of PostgreSQL is a process
        values: Values = {
            "process_memory_bytes": {
                role: sum(map(memory_bytes, pids)) for role, pids in trees.items()
            }
        }
        if cpu := self._cpu.since_last(CpuTimes.read(self._groups).seconds):
            values["process_cpu_percent"] = {role: 100 * share for role, share in cpu.items()}
        before, self._times = self._times, MachineTimes.read()
        shares = {
            "machine_busy_percent": self._times.busy_percent(before),
            "machine_steal_percent": self._times.steal_percent(before),
        }
        values |= {name: {"": share} for name, share in shares.items() if share is not None}
        for name, rate in self._io.since_last(broker_bytes(trees.get(BROKER, ()))).items():
            values[f"broker_{name}_bytes_per_second"] = {"": rate}
        return values

    def close(self) -> None:
        """Nothing is held."""


def broker_bytes(pids: Iterable[int]) -> dict[str, float]:
    """Return what processes have read and written so far; nothing where one is gone."""
    found = {"read": 0.0, "written": 0.0}
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "io").read_text()
        except OSError:
            return {}
        fields = dict(line.split(": ") for line in text.splitlines())
        found["read"] += int(fields["rchar"])
        found["written"] += int(fields["wchar"])
    return found


def memory_bytes(pid: int) -> float:
    """Return a process' share of memory: its own pages, shared ones divided; 0 once it is gone."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0.0)
