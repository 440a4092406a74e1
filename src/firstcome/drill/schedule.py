"""Which faults come, in which order, and how long each lasts: all of it from one seed.

Pure. The same seed and the same moves make the same schedule; when each fault begins depends on
how soon claims flow again, and is written down with the fault.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from firstcome.drill.faults import Fault, Move

# Seconds between inject and heal, with how often each is drawn: the long ones take the most time.
SECONDS = {0.0: 3, 0.5: 3, 2.0: 3, 5.0: 3, 8.0: 3, 15.0: 1, 35.0: 1}
PAIRS_SHARE = 0.3
GAP_SECONDS_MAX = 3.0


class Planned(NamedTuple):
    """One fault to come."""

    number: int
    move: Move
    seconds: float  # from inject to heal
    gap: float  # from the moment when claims flow to inject
    is_overlapping: bool  # begins while the one before it is loose, or has only just healed
    chance: Random

    def fault(self) -> Fault:
        """Make it, for one use."""
        return self.move.make(self.chance, self.seconds)


def schedule(moves: Sequence[Move], seed: int) -> Iterator[Planned]:
    """Yield faults without end; a move that was chosen often becomes less likely."""
    random = Random(f"schedule-{seed}")
    used = [0] * len(moves)
    number = 0
    before: Move | None = None
    while True:
        number += 1
        weights = [move.weight / (1 + 4 * times) for move, times in zip(moves, used, strict=True)]
        (chosen,) = random.choices(range(len(moves)), weights)
        used[chosen] += 1
        move = moves[chosen]
        (seconds,) = random.choices(list(SECONDS), list(SECONDS.values()))
        wants_pair = random.random() < PAIRS_SHARE
        is_overlapping = wants_pair and before is not None and may_overlap(before, move)
        yield Planned(
            number,
            move,
            seconds if move.lasts else 0.0,
            random.uniform(0.2, GAP_SECONDS_MAX / 2 if is_overlapping else GAP_SECONDS_MAX),
            is_overlapping,
            Random(f"fault-{seed}-{number}"),
        )
        before = None if is_overlapping else move


def may_overlap(one: Move, other: Move) -> bool:
    """Whether two faults may be loose at once: never two of one kind of process."""
    if not (one.is_combinable and other.is_combinable):
        return False
    return not (roles(one.target) & roles(other.target))


def roles(target: str) -> set[str]:
    """Return the kinds of process that a target such as `api-2` or `api.redis` stands for."""
    return {part.partition("-")[0] for part in target.split(".")}
