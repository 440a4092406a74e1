"""What both doors tell of requests, for whoever watches a drop.

On the path of every claim, so each of these is an addition or two.
"""

from collections.abc import Mapping
from time import monotonic

from firstcome import postgres
from firstcome.eventlog.kafka import Appender
from firstcome.gate.connection import GateConnection
from firstcome.gate.watcher import SettledWatcher
from firstcome.metrics import catalogue
from firstcome.model import Outcome

Pool = postgres.AsyncPool | postgres.Statements

_asked = catalogue.ASKED.of()
_looks = catalogue.LOOKS.of()
_claims = {outcome: catalogue.CLAIM.of(outcome) for outcome in Outcome}


def begun() -> float:
    """Count a claim whose turn has come; return the moment."""
    _asked.value += 1
    return monotonic()


def answered(outcome: Outcome, since: float) -> None:
    """Note how long a claim has waited for its answer."""
    _claims[outcome].observe(monotonic() - since)


def waiting() -> float:
    """Return how many claims wait for their answer now."""
    return _asked.value - sum(series.count for series in _claims.values())


def told() -> None:
    """Count a status read that was answered."""
    _looks.value += 1


def refused(status: int) -> None:
    """Count a request that was refused before it was asked."""
    catalogue.REFUSALS.add(1, str(status))


def follow(
    connection: GateConnection,
    appender: Appender,
    watcher: SettledWatcher,
    pools: Mapping[str, Pool],
) -> None:
    """Let what is told of this process' parts be looked up when somebody asks."""
    catalogue.WAITING.follow(waiting)
    catalogue.LONG_POLLS.follow(lambda: len(watcher))
    catalogue.GATE_CONNECTED.follow(lambda: connection.run_id is not None)
    catalogue.BROKER_AWAY.follow(lambda: appender.is_away)
    for name, pool in pools.items():
        _follow_pool(name, pool)


def _follow_pool(name: str, pool: Pool) -> None:
    catalogue.POOL.follow(lambda: pool.state.open - pool.state.idle, name, "used")
    catalogue.POOL.follow(lambda: pool.state.idle, name, "idle")
    catalogue.POOL_WAITING.follow(lambda: pool.state.waiting, name)
