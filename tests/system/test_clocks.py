"""The wall clock jumps, under load: nothing that the laws rest on reads it.

Half an hour on, then ten minutes back, for PostgreSQL and for every process of ours. Opening times
are judged by Redis, whose clock cannot be made to jump here; tokens are out of the game, because
their expiry is meant to follow the clock. `verify` is told how far clocks have jumped: it compares
times of requests, which the api's clock has written.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clock import LIBRARY, Clock

from firstcome import postgres
from firstcome.bench.stack import RunningStack, started
from firstcome.drill.eventually import eventually, wait
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.processes import Processes
from firstcome.settings import PostgresSettings

pytestmark = pytest.mark.system

FINAL_SECONDS = 30.0
STAY_SECONDS = 2.0
FORWARD, BACK = 1800, -600
ROLES = ("postgres", "api", "recorder", "sweeper", "console")
# Where a role's clock can be read: PostgreSQL's own, the api's in the newest row of its claims.
TOLD = {
    "postgres": "SELECT clock_timestamp()",
    "api": "SELECT requested_at FROM issuances ORDER BY campaign_id, position DESC LIMIT 1",
}


@pytest.fixture
def clocks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clock]:
    """A clock for each role."""
    folder = tmp_path_factory.mktemp("clocks")
    folder.chmod(0o755)
    return {role: Clock(folder / role) for role in ROLES}


@pytest.fixture
def timed(
    clocks: dict[str, Clock], scaled: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """A stack whose processes see these clocks."""
    shape = {"environment": {role: clock.environment() for role, clock in clocks.items()}}
    state = tmp_path_factory.mktemp("timed") / "stack"
    settings = scaled | {"FIRSTCOME_LAWS__CLOCK_SKEW_SECONDS": "2700"}
    options = ("--auth", "gateway", "--shape", json.dumps(shape))
    with started(state, *options, **settings) as stack:
        yield stack


def test_clocks_jump_forward_and_back(
    timed: RunningStack, clocks: dict[str, Clock], seed: int
) -> None:
    def jump(faults: Processes) -> None:
        for role in ROLES:
            for seconds in (FORWARD, BACK):
                clocks[role].jump(seconds)
                faults.note(seen(timed, faults, role, seconds))
                wait(STAY_SECONDS)
            clocks[role].jump(0)

    Ordeal(timed, seed).undergo(jump, FINAL_SECONDS)


def seen(stack: RunningStack, faults: Processes, role: str, seconds: int) -> str:
    """Return the evidence: a time that this role has told, or that it has the library."""
    if query := TOLD.get(role):
        off = eventually(
            f"the clock of {role} is off by {seconds} s",
            lambda: offset(stack, query),
            lambda off: abs(off - seconds) < 5,
            seconds=10,
        )
        return f"{role}: clock off by {off:.0f} s"
    pid = faults.pid("postgres" if role == "postgres" else f"{role}-1")
    assert str(LIBRARY) in Path(f"/proc/{pid}/maps").read_text()
    return f"{role}: pid {pid} runs under a clock set to {seconds:+d} s"


def offset(stack: RunningStack, query: str) -> float:
    """Return how far a time that the database knows is from the true one."""
    settings = PostgresSettings(**stack.settings["postgres"])
    with postgres.connect(settings, name="drill-clock") as connection:
        (told,) = connection.execute(query).fetchone() or (None,)
    assert isinstance(told, datetime)
    return (told - datetime.now(UTC)).total_seconds()
