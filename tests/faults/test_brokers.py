"""One of three brokers is killed under a crowd: claims go on without it, and every law holds."""

import signal
from pathlib import Path

import pytest

from firstcome.drill.brokers import OneOfSeveral
from firstcome.drill.endings import Ended
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.processes import Processes
from running import started
from tests.faults.conftest import SCALED

pytestmark = pytest.mark.faults

FINAL_SECONDS = 60.0


@pytest.mark.timeout(420)  # three brokers start beside everything else
def test_one_of_three_brokers_is_killed(tmp_path: Path, seed: int) -> None:
    with started(tmp_path / "stack", "--brokers", "3", **SCALED) as stack:
        ordeal = Ordeal(stack, seed)

        def kill_one(processes: Processes) -> None:
            name = f"kafka-{1 + seed % 3}"
            killed = Ended(processes, name, signal.SIGKILL)
            fault = OneOfSeveral(killed, ordeal.accepted_since)
            try:
                fault.inject()
            finally:
                processes.note(fault.heal())

        ordeal.undergo(kill_one, FINAL_SECONDS)
