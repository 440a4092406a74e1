"""Processes beside the stack's own end when they are asked to, and never by themselves."""

import sys
from pathlib import Path
from typing import cast

import pytest

from firstcome.bench.stack import RunningStack
from firstcome.drill import crew, points
from firstcome.drill.crew import Additional
from firstcome.drill.eventually import eventually
from firstcome.drill.faults import Misbehaved, Missed
from firstcome.drill.processes import Processes
from firstcome.drill.schedule import may_overlap

pytestmark = pytest.mark.unit

READY = 'print(\'{"event": "ready"}\', flush=True)'
WAITING = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(%s))"

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.fixture
def stack(tmp_path: Path) -> RunningStack:
    (tmp_path / "logs").mkdir()
    return RunningStack(tmp_path)


def additional(stack: RunningStack, *lines: str) -> Additional:
    # Who is deaf is not waited for; the others may have a busy machine.
    seconds = 0.5 if DEAF in lines else 20.0
    command = [sys.executable, "-c", "; ".join(lines)]
    return Additional(stack, "recorder", 2, command=command, end_seconds=seconds)


def test_additional_processes_that_end_as_asked_are_no_finding(stack: RunningStack) -> None:
    fault = additional(stack, WAITING % 0, READY, "signal.pause()")
    assert "2 more recorder ready" in fault.inject()
    assert fault.heal() == "2 recorder ended"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((WAITING % 3, READY, "signal.pause()"), "ended with 3 when it was asked to"),
        (
            (DEAF, READY, "[signal.pause() for _ in iter(int, 1)]"),
            "ignored SIGTERM",
        ),
        ((READY, "import signal", "signal.pause()"), "ended with -15 when it was asked to"),
    ],
)
def test_additional_process_that_does_not_end_as_asked_has_misbehaved(
    stack: RunningStack, lines: tuple[str, ...], said: str
) -> None:
    fault = additional(stack, *lines)
    fault.inject()
    with pytest.raises(Misbehaved, match=said):
        fault.heal()
    assert all(process.poll() is not None for process, _ in fault._running)


@pytest.mark.parametrize("code", [0, 1])
def test_additional_process_that_ends_by_itself_has_misbehaved(
    stack: RunningStack, code: int
) -> None:
    fault = additional(stack, READY, f"import sys; sys.exit({code})")
    fault.inject()
    eventually("both have ended", fault._codes, lambda codes: codes == [code] * 2, seconds=10)
    with pytest.raises(Misbehaved, match=f"ended by itself: {code}"):
        fault.heal()


def test_additional_process_that_is_not_ready_yet_may_die_of_sigterm(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "READY_SECONDS", 0.3)
    fault = additional(stack, "import signal", "signal.pause()")
    with pytest.raises(Missed):
        fault.inject()
    assert fault.heal() == "2 recorder ended"


def test_nothing_that_kills_a_kind_of_process_is_loose_beside_its_additional_ones(
    stack: RunningStack,
) -> None:
    named = cast(Processes, object())
    deadly = points.moves(named, stack.state)
    for move in crew.moves(stack, stack.state):
        for other in deadly:
            if move.target in other.target.split("."):
                assert not may_overlap(move, other)
    assert any(may_overlap(crew.moves(stack, stack.state)[0], other) for other in deadly)
