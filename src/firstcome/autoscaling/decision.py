"""How many recorders a load asks for. Pure: no clock, no engine, no process.

KEDA's rule for a Kafka topic (recorders = ceil(lag / threshold), at most one a partition), and
beside it the time that the lag takes to drain: the larger of both counts. The steps between two
numbers are those of Kubernetes' horizontal autoscaler: up soon, down only when nothing in a whole
cooldown has asked for more. A database that is slow, or refuses, is not helped by more recorders.
"""

from enum import StrEnum
from math import ceil
from typing import NamedTuple

from firstcome.settings import AutoscalerSettings


class Bounds(NamedTuple):
    """What the rule may do; see settings `autoscaler`, which say why."""

    recorders_min: int
    recorders_max: int  # no more than partitions: the others would have nothing to read
    lag_records_per_recorder: int
    drain_target_seconds: float
    drain_claims_min: int
    step_recorders_max: int
    confirm_looks: int
    settle_seconds: float
    cooldown_seconds: float
    shrink_share: float
    transaction_seconds_max: float


def bounds_of(settings: AutoscalerSettings, partitions: int) -> Bounds:
    """Return what the settings allow for a log with so many partitions."""
    most = max(settings.recorders_min, min(settings.recorders_max or partitions, partitions))
    shared = {name: value for name, value in settings if name in Bounds._fields}
    return Bounds(**shared | {"recorders_max": most})


class Load(NamedTuple):
    """One look. None: it could not be seen."""

    at: float  # monotonic seconds
    recorders: int  # as many as are wanted now
    lag_records: int | None
    lag_claims: int | None  # have their place and no row yet
    claims_per_second: float | None = None  # of all recorders together
    transaction_seconds: float | None = None  # mean, commit included; None: there was none
    stopped: bool = False  # a recorder stands still: too many claims are refused
    working: int | None = None  # of the recorders: who tells anything; the pace is theirs


class Kind(StrEnum):
    """What became of a look."""

    ADD = "add"
    REMOVE = "remove"
    KEEP = "keep"
    WAIT = "wait"  # another number is asked for, but not for long enough yet
    HELD = "held"  # more are asked for, and would not help
    BLIND = "blind"  # not enough can be seen: everything stays as it is


class Decision(NamedTuple):
    """A number of recorders, and why."""

    kind: Kind
    recorders: int  # before
    wanted: int  # from now on
    asked: int | None  # by the rule alone; None: blind
    drain_seconds: float | None  # None: nothing is known of the pace
    reason: str


class Memory(NamedTuple):
    """What the rule keeps between two looks."""

    recorders: int | None = None
    changed_at: float | None = None
    growing_looks: int = 0
    # By time: how many recorders would have been enough, of the last cooldown.
    enough: tuple[tuple[float, int], ...] = ()


def decide(load: Load, bounds: Bounds, memory: Memory) -> tuple[Decision, Memory]:
    """Return what to do after this look, and what to remember until the next."""
    memory = _noticed(load, memory)
    into_bounds = _clamped(load.recorders, bounds)
    if into_bounds != load.recorders:
        decision = _into_bounds(load, bounds, into_bounds)
    elif load.lag_records is None or load.lag_claims is None:
        return _blind(load), memory._replace(growing_looks=0, enough=())
    else:
        asked = _asked(load, bounds)
        memory = _remembered(load, bounds, memory, asked)
        if asked > load.recorders:
            decision = _grown(load, bounds, memory, asked)
        else:
            decision = _shrunk(load, bounds, memory, asked)
    if decision.wanted != load.recorders:
        memory = Memory(decision.wanted, load.at, 0, memory.enough)
    return decision, memory


def drain_seconds(load: Load) -> float | None:
    """Return how long the claims under way will take at this pace; None: nobody knows."""
    if load.lag_claims == 0:
        return 0.0
    if load.lag_claims is None or not load.claims_per_second:
        return None
    return load.lag_claims / load.claims_per_second


def _asked(load: Load, bounds: Bounds, share: float = 1.0) -> int:
    """Return how many recorders the lag asks for, if each is to carry this share of its load."""
    by_lag = ceil((load.lag_records or 0) / (bounds.lag_records_per_recorder * share))
    by_drain = 0
    seconds = drain_seconds(load)
    if seconds and (load.lag_claims or 0) >= bounds.drain_claims_min:
        # Those that are still starting have no part in the pace, or too many would be asked for.
        working = min(load.working or load.recorders, load.recorders)
        by_drain = ceil(working * seconds / (bounds.drain_target_seconds * share))
    return _clamped(max(by_lag, by_drain), bounds)


def _noticed(load: Load, memory: Memory) -> Memory:
    """Somebody else has changed the number: time counts anew from that."""
    if memory.recorders in (None, load.recorders):
        return memory._replace(recorders=load.recorders)
    return Memory(load.recorders, load.at)


def _remembered(load: Load, bounds: Bounds, memory: Memory, asked: int) -> Memory:
    enough = asked
    if asked <= load.recorders:
        # Fewer are enough only if they would not be asked to grow again at once.
        enough = min(load.recorders, _asked(load, bounds, bounds.shrink_share))
        if load.lag_claims and drain_seconds(load) is None:
            enough = load.recorders  # claims wait and nothing is recorded: no time to go
    # One look older than the cooldown is kept: it shows that all of it was seen.
    looks = [*memory.enough, (load.at, enough)]
    while len(looks) > 1 and load.at - looks[1][0] >= bounds.cooldown_seconds:
        looks.pop(0)
    growing = memory.growing_looks + 1 if asked > load.recorders else 0
    return memory._replace(growing_looks=growing, enough=tuple(looks))


def _grown(load: Load, bounds: Bounds, memory: Memory, asked: int) -> Decision:
    said = f"{_count(asked)} asked for: {_seen(load, bounds)}"
    if load.stopped:
        return _kept(
            Kind.HELD,
            load,
            asked,
            f"{said}. Not added: a recorder stands still because the database refuses too many "
            "claims, and a new one would stop as well: look at `firstcome dead-letters list`",
        )
    took = load.transaction_seconds
    if took is not None and took > bounds.transaction_seconds_max:
        return _kept(
            Kind.HELD,
            load,
            asked,
            f"{said}. Not added: a transaction takes {took:.2f} s, more than "
            f"{bounds.transaction_seconds_max:g} s, so the database is the limit and more "
            "recorders would only add to it: look at its disk, its locks and its CPU",
        )
    if memory.growing_looks < bounds.confirm_looks:
        return _kept(Kind.WAIT, load, asked, f"{said}. The next look has to say the same")
    if memory.changed_at is not None and load.at - memory.changed_at < bounds.settle_seconds:
        return _kept(Kind.WAIT, load, asked, f"{said}. The last change has to take effect first")
    wanted = min(asked, load.recorders + bounds.step_recorders_max)
    step = "" if wanted == asked else f", {bounds.step_recorders_max} at once at most"
    return _changed(Kind.ADD, load, wanted, asked, f"{said}. {_step(load, wanted)}{step}")


def _shrunk(load: Load, bounds: Bounds, memory: Memory, asked: int) -> Decision:
    seen = _seen(load, bounds)
    enough = max(number for _, number in memory.enough)
    if enough >= load.recorders:
        return _kept(Kind.KEEP, load, asked, f"{_count(load.recorders)} kept: {seen}")
    since = max(memory.enough[0][0], memory.changed_at or memory.enough[0][0])
    left = bounds.cooldown_seconds - (load.at - since)
    if left > 0:
        reason = f"{_count(enough)} enough if it stays so for {left:.0f} s more: {seen}"
        return _kept(Kind.WAIT, load, asked, reason)
    wanted = max(enough, load.recorders - bounds.step_recorders_max)
    reason = f"{_count(enough)} enough for {bounds.cooldown_seconds:g} s: {seen}. "
    return _changed(Kind.REMOVE, load, wanted, asked, reason + _step(load, wanted))


def _into_bounds(load: Load, bounds: Bounds, wanted: int) -> Decision:
    kind = Kind.ADD if wanted > load.recorders else Kind.REMOVE
    between = f"{bounds.recorders_min} to {bounds.recorders_max} recorders are allowed"
    return _changed(kind, load, wanted, wanted, f"{between}. {_step(load, wanted)}")


def _blind(load: Load) -> Decision:
    missing = "Redis or PostgreSQL" if load.lag_claims is None else "Kafka"
    reason = f"the lag is not known, for {missing} gives no answer: {load.recorders} stay"
    return _kept(Kind.BLIND, load, None, reason)


def _kept(kind: Kind, load: Load, asked: int | None, reason: str) -> Decision:
    return Decision(kind, load.recorders, load.recorders, asked, drain_seconds(load), reason)


def _changed(kind: Kind, load: Load, wanted: int, asked: int, reason: str) -> Decision:
    return Decision(kind, load.recorders, wanted, asked, drain_seconds(load), reason)


def _clamped(recorders: int, bounds: Bounds) -> int:
    return max(bounds.recorders_min, min(bounds.recorders_max, recorders))


def _seen(load: Load, bounds: Bounds) -> str:
    records = f"{load.lag_records} records of lag ({bounds.lag_records_per_recorder} a recorder)"
    claims = f"{load.lag_claims} claims under way"
    seconds = drain_seconds(load)
    if seconds is None:
        return f"{records}, {claims}, none recorded of late"
    target = f"{bounds.drain_target_seconds:g} s are the target"
    return f"{records}, {claims}, drained in {seconds:.1f} s ({target})"


def _count(recorders: int) -> str:
    return "1 recorder" if recorders == 1 else f"{recorders} recorders"


def _step(load: Load, wanted: int) -> str:
    return f"From {load.recorders} to {wanted}"
