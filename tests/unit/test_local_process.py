"""One supervised process, at work on small commands; its clock is the test's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from firstcome.local.leash import leashed
from firstcome.local.process import FAULT_SECONDS, Process, Spec, pause_seconds

SLEEP = ["sleep", "60"]


def eventually(what: str, holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `holds()` is true, else fail with the last value seen."""
    deadline = time.monotonic() + seconds
    while not (seen := holds()):
        assert time.monotonic() < deadline, f"{what} did not come true; last seen: {seen!r}"
        time.sleep(0.005)


def process(tmp_path: Path, command: list[str], **options: object) -> Process:
    return Process(
        Spec(name="p-1", role="p", command=command, **options),  # type: ignore[arg-type]
        tmp_path / "p-1.log",
    )


def run_until(of: Process, state: str, now: float) -> None:
    def reached() -> bool:
        of.poll(now)
        return of.state == state

    eventually(f"state {state}", reached)


def end(of: Process) -> None:
    of.signal(signal.SIGKILL)
    eventually("its end", of.gone)


def test_pause_doubles_from_a_fifth_of_a_second_to_ten() -> None:
    assert [pause_seconds(deaths) for deaths in (1, 2, 3, 6, 7, 50)] == [0.2, 0.4, 0.8, 6.4, 10, 10]


def test_process_of_no_use_is_killed_and_started_anew(tmp_path: Path) -> None:
    wrong: list[str | None] = [None, "has failed: no slot"]
    one = process(tmp_path, SLEEP, fault=lambda life: wrong.pop(0))
    one.start(0)
    run_until(one, "ready", 0)
    first = one.pid
    one.poll(FAULT_SECONDS - 0.1)
    assert len(wrong) == 2
    one.poll(FAULT_SECONDS)
    assert (one.state, one.pid) == ("ready", first)
    run_until(one, "backing-off", 2 * FAULT_SECONDS)
    assert one.last_words == "has failed: no slot"
    wrong[:] = [None] * 100
    run_until(one, "ready", 3 * FAULT_SECONDS)
    assert one.pid != first
    end(one)


def test_process_that_is_never_ready_may_say_why(tmp_path: Path) -> None:
    said = {"is_ready": lambda life: False, "fault": lambda life: "has failed: no slot"}
    one = process(tmp_path, SLEEP, **said)
    one.start(0)
    eventually("a child", lambda: one.poll(0) or one.pid)
    run_until(one, "backing-off", FAULT_SECONDS)
    assert (one.deaths_unready, one.last_words) == (1, "has failed: no slot")


def test_process_is_ready_when_its_probe_says_so(tmp_path: Path) -> None:
    said: list[int] = []
    one = process(tmp_path, SLEEP, is_ready=lambda life: bool(said))
    one.start(0)
    eventually("a child", lambda: one.poll(0) or one.pid)
    assert one.state == "starting"
    said.append(1)
    run_until(one, "ready", 0)
    end(one)
    assert one.state == "stopped"


def test_process_is_overdue_when_it_runs_without_becoming_ready(tmp_path: Path) -> None:
    one = process(tmp_path, SLEEP, is_ready=lambda life: False, ready_seconds=5)
    one.start(0)
    eventually("a child", lambda: one.poll(0) or one.pid)
    assert not one.overdue(4.9)
    assert one.overdue(5.1)
    end(one)


def test_process_comes_back_after_its_pause_when_killed(tmp_path: Path) -> None:
    one = process(tmp_path, SLEEP)
    one.start(0)
    run_until(one, "ready", 0)
    first = one.pid
    one.signal(signal.SIGKILL)
    run_until(one, "backing-off", 1)
    one.poll(1.19)
    assert (one.state, one.restarts) == ("backing-off", 0)
    one.poll(1.21)
    assert one.restarts == 1
    run_until(one, "ready", 1.21)
    assert one.pid != first
    assert one.deaths_unready == 0
    end(one)


def test_process_waits_longer_with_each_quick_death_and_forgets_after_a_life(
    tmp_path: Path,
) -> None:
    one = process(tmp_path, SLEEP)
    pauses, now = [], 0.0
    one.start(now)
    for lived in (1, 1, 1, 31):
        run_until(one, "ready", now)
        now += lived
        one.signal(signal.SIGKILL)
        run_until(one, "backing-off", now)
        begun = now
        while one.state == "backing-off":
            now += 0.05
            one.poll(now)
        pauses.append(round(now - begun, 2))
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 0.2], abs=0.051)
    eventually("a child", lambda: one.poll(now) or one.pid)
    end(one)


def test_process_counts_deaths_before_it_ever_worked(tmp_path: Path) -> None:
    one = process(tmp_path, ["sh", "-c", "echo broken; exit 7"], is_ready=lambda life: False)
    one.start(0)
    run_until(one, "backing-off", 0)
    assert one.deaths_unready == 1
    assert one.last_words == "ended with exit code 7"
    assert one.log.read_text() == "broken\n"


def test_process_does_not_run_when_its_preparation_fails(tmp_path: Path) -> None:
    def prepare() -> None:
        raise OSError("no space")

    one = process(tmp_path, ["touch", str(tmp_path / "ran")], prepare=prepare)
    one.start(0)
    run_until(one, "backing-off", 0)
    assert one.last_words == "cannot be prepared: no space"
    assert not (tmp_path / "ran").exists()


def test_process_that_runs_once_is_done_after_success_and_retries_after_failure(
    tmp_path: Path,
) -> None:
    for command, state in ((["true"], "stopped"), (["false"], "backing-off")):
        one = process(tmp_path, command, once=True)
        one.start(0)
        run_until(one, state, 0)
        assert one.done == (command == ["true"])


def test_leashed_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.fail("the leash needs Linux")
    program = (
        "import subprocess, time; from firstcome.local.leash import leashed;"
        "print(subprocess.Popen(leashed(['sleep', '60'])).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        eventually("sleep", lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        parent.kill()
    eventually("the child's death", lambda: not _runs(child))


def test_leashed_command_gets_no_ignored_signals() -> None:
    shown = subprocess.run(
        leashed(["grep", "SigIgn", "/proc/self/status"]), check=True, capture_output=True, text=True
    )
    ignored = int(shown.stdout.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A dead child whom nobody has waited for yet still has a pid.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
