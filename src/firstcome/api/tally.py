"""What both doors tell of requests, for whoever watches a drop.

On the path of every claim, so each of these is an addition or two.
"""

from time import monotonic

from firstcome.metrics import catalogue
from firstcome.model import Outcome

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


def told() -> None:
    """Count a status read that was answered."""
    _looks.value += 1


def refused(status: int) -> None:
    """Count a request that was refused before it was asked."""
    catalogue.REFUSALS.add(1, str(status))
