"""A whole system as its users and operators reach it; shared by acceptance and fault tests."""

from firstcome.drill.eventually import eventually
from firstcome.drill.stack import RunningStack, Told, finished, started

__all__ = ["RunningStack", "Told", "eventually", "finished", "started"]
