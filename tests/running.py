"""A whole system as its users and operators reach it; shared by acceptance and fault tests."""

from firstcome.bench.stack import RunningStack, Told, finished, started
from firstcome.drill.eventually import eventually

__all__ = ["RunningStack", "Told", "eventually", "finished", "started"]
