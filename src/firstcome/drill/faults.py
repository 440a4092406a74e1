"""What a fault is: something breaks, is proven to have hit, and heals.

    Fault   one that can be let loose once: inject() -> evidence, then heal() -> evidence
    Move    what a schedule may choose: a kind and a target, and how to make the fault

A fault that cannot prove that it has hit raises Missed; it is healed and does not count. Whatever
else is raised as it heals is a violation: Misbehaved says that of a process. Each part of the
harness lists its own moves: processes.moves(), data.moves(), ...
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple, Protocol

from firstcome.errors import FirstcomeError


class Missed(FirstcomeError):
    """A fault did not hit, or nothing proves that it has."""


class Misbehaved(FirstcomeError):
    """A process did what no fault explains, such as an end of its own: a violation."""


class Fault(Protocol):
    """One fault, for one use. Two of the same target are never loose at the same time."""

    def inject(self) -> str:
        """Break it; return the evidence that it has hit. Raises Missed."""

    def heal(self) -> str:
        """End it and return once the target works again. Called after a miss as well.

        Raises Missed when the proof fails at last, and whatever else says that it did not heal.
        """


class Move(NamedTuple):
    """One kind of fault against one target.

    `make` gets a source of randomness and how many seconds lie between inject and heal; they
    are 0 where `lasts` is false: the fault is over as soon as it has hit.
    """

    kind: str
    target: str
    make: Callable[[Random, float], Fault]
    lasts: bool = True
    weight: float = 1.0
    is_combinable: bool = True  # false: never overlaps with another fault
