"""Every failpoint is taken once, with an action that the seed decides, and every law holds.

The whole sweep, each point with each action and the times of a real stack, is `make faults-sweep`.
D, away, due and the sessions' times are cut here to a fifth or so, all together; the pause too.
"""

from collections.abc import Iterator

import pytest

from firstcome.drill import cases
from firstcome.drill.cases import Group
from firstcome.drill.sweep import Sweep
from firstcome.failpoints import POINTS, Action
from running import RunningStack, started

pytestmark = pytest.mark.faults

PAUSE_SECONDS = 6.0  # longer than any patience below; the default's is 35
SCALED = {
    "FIRSTCOME_INTAKE__ANSWER_DEADLINE_SECONDS": "1.5",
    "FIRSTCOME_INTAKE__AWAY_AFTER_SECONDS": "1",
    "FIRSTCOME_REDIS__CALL_TIMEOUT_SECONDS": "0.6",
    "FIRSTCOME_POSTGRES__TRANSACTION_TIMEOUT_SECONDS": "3",
    "FIRSTCOME_REBUILD__LOCK_TIMEOUT_SECONDS": "5",
    "FIRSTCOME_SWEEPER__DUE_AFTER_SECONDS": "4",
    "FIRSTCOME_SWEEPER__TICK_SECONDS": "0.5",
}
FINAL_SECONDS = 40.0


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack whose processes look for failpoints."""
    state = tmp_path_factory.mktemp("swept") / "stack"
    folder = {"FIRSTCOME_FAILPOINTS__FOLDER": str(state / "failpoints")}
    with started(state, "--api", "2", "--recorders", "2", **SCALED, **folder) as running:
        yield running


@pytest.mark.timeout(420)
@pytest.mark.parametrize("number", [0, 1], ids=["path", "rebuild"])
def test_every_failpoint_is_taken_and_every_law_holds(
    swept: RunningStack, seed: int, number: int
) -> None:
    group = cases.once(seed)[number]
    sweep = Sweep(swept, pause_seconds=PAUSE_SECONDS)
    sweep.undergo(group, seed, FINAL_SECONDS)
    assert {broken.case for broken in sweep.broken} == set(cases_of(group))


def test_the_plan_leaves_no_point_and_no_action_out() -> None:
    everything = [case for group in cases.every() for case in cases_of(group)]
    assert sorted(everything) == sorted((p, a) for p in POINTS for a in Action)
    for seed in range(4):
        once = [case for group in cases.once(seed) for case in cases_of(group)]
        assert sorted(case.point for case in once) == sorted(POINTS)
        assert {case.action for case in once} == set(Action)


def cases_of(group: Group) -> list[cases.Case]:
    """Return a group's cases without their waves."""
    return [case for wave in group.waves for case in wave]
