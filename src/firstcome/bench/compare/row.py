"""One row of the report: what it is called, how it is read off a run, why it may have no value.

Units and readings are k6's where k6 has the same row. A value or a reason, never nothing.
"""

from enum import StrEnum
from typing import NamedTuple

from firstcome.bench.columns import has_gate
from firstcome.bench.compare.missing import Missing
from firstcome.bench.compare.readings import Reading
from firstcome.bench.compare.told import TOLD, Told
from firstcome.bench.run import Run


class Need(StrEnum):
    """The part of an engine without which a row has no meaning."""

    NOTHING = ""
    GATE = "gate"
    CONSUMER = "consumer"


class Row(NamedTuple):
    """One row. `unit` also says how a value is written (figures.py)."""

    key: str
    group: str
    unit: str
    en: str
    ko: str
    read: Reading
    otherwise: Missing = Missing.NO_ANSWER
    need: Need = Need.NOTHING

    @property
    def told(self) -> tuple[Told, ...]:
        """The source's figures for it, as they stand there."""
        return TOLD.get(self.key, ())

    def value(self, run: Run) -> float | Missing:
        """Return the value, or why there is none."""
        if self.need and not has_gate(run.engine):
            return Missing.NO_GATE if self.need is Need.GATE else Missing.NO_CONSUMER
        value = self.read(run)
        return self.otherwise if value is None else float(value)
