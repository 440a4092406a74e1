"""The autoscaler: looks at the lag and the pace, decides, lets recorders come and go, says why.

Beside the path: log, gates, rows -> [autoscaling.autoscaler] -> the local stack's supervisor

One look every few seconds. It changes nothing but the number of recorders that are wanted, and
recording is idempotent: what it decides wrongly costs time, never a claim. One is enough; of two
each would take the other for somebody who scales by hand.
"""

from collections.abc import Callable
from threading import Event
from time import time
from typing import NamedTuple, Protocol

from firstcome.autoscaling.decision import Decision, Kind, Load, Memory, bounds_of, decide
from firstcome.autoscaling.throughput import Throughput
from firstcome.errors import FirstcomeError, Refused
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.settings import AutoscalerSettings

log = get_logger()


class LagSeen(NamedTuple):
    """What waits for recorders: in the log, and in all. None: it cannot be seen now."""

    records: int | None
    claims: int | None


class Crew(Protocol):
    """Who runs the recorders."""

    def recorders(self) -> int:
        """Return how many are wanted. Raises Refused while they cannot be scaled."""
        ...

    def metrics_urls(self, role: str) -> list[str]:
        """Return where processes of a role tell what they do."""
        ...

    def scale(self, count: int) -> None:
        """Want so many, and return at once. Raises Refused."""
        ...


class Autoscaler:
    """For one thread."""

    def __init__(  # noqa: PLR0913 - one argument per collaborator
        self,
        settings: AutoscalerSettings,
        partitions: int,
        crew: Crew,
        lag: Callable[[], LagSeen],
        note: Callable[[Decision], None] = lambda decision: None,
        show: Callable[[Decision], None] = lambda decision: None,
        *,
        throughput: Throughput | None = None,
        dry_run: bool = False,
    ) -> None:
        """`note` keeps a change for people, not in a dry run; `show` is given every decision."""
        self._settings = settings
        self._bounds = bounds_of(settings, partitions)
        self._crew = crew
        self._lag = lag
        self._note = note
        self._show = show
        self._throughput = throughput or Throughput()
        self._dry_run = dry_run
        self._memory = Memory()
        self._said: tuple[Kind, int, int | None] | None = None

    def run(self, stop: Event) -> None:
        """Look every autoscaler.poll_seconds until `stop` is set."""
        while not stop.is_set():
            try:
                self.run_once()
            except Refused as error:
                # The stack is starting or stopping: no time to scale it.
                log.debug("scaling_refused", reason=str(error))
            stop.wait(self._settings.poll_seconds)

    def run_once(self) -> Decision:
        """Look once, decide, and act. Raises Refused while the stack is not up."""
        load = self._load()
        decision, memory = decide(load, self._bounds, self._memory)
        if decision.wanted != decision.recorders and not self._dry_run:
            self._crew.scale(decision.wanted)
        # In a dry run nobody has come, so the next look must not take that for a change by hand.
        self._memory = memory._replace(recorders=load.recorders) if self._dry_run else memory
        self._tell(load, decision)
        self._show(decision)
        if decision.wanted != decision.recorders and not self._dry_run:
            self._keep(decision)
        return decision

    def _load(self) -> Load:
        recorders = self._crew.recorders()
        pace = self._throughput.measure(self._crew.metrics_urls("recorder"))
        lag = self._lag()
        catalogue.RECORDERS.set(pace.answering)
        return Load(
            pace.at,
            recorders,
            lag.records,
            lag.claims,
            pace.claims_per_second,
            pace.transaction_seconds,
            pace.stopped,
            pace.answering,
        )

    def _tell(self, load: Load, decision: Decision) -> None:
        catalogue.DECIDED_AT.set(time())
        catalogue.RECORDERS_WANTED.set(decision.wanted)
        catalogue.DECISIONS.add(1, decision.kind)
        seconds = decision.drain_seconds
        catalogue.DRAIN.replace({} if seconds is None else {(): seconds})
        said = decision.kind, decision.wanted, decision.asked
        if said == self._said and not self._dry_run:
            return  # the same as two seconds ago
        self._said = said
        log.info(
            "decided",
            kind=decision.kind,
            recorders=decision.recorders,
            wanted=decision.wanted,
            reason=decision.reason,
            **_numbers(load),
            **({"dry_run": True} if self._dry_run else {}),
        )

    def _keep(self, decision: Decision) -> None:
        try:
            self._note(decision)
        except FirstcomeError as error:
            # It is in the log as well; recorders must not wait for a row about them.
            log.warning("decision_not_kept", reason=str(error))


def _numbers(load: Load) -> dict[str, float | int | None]:
    pace, took = load.claims_per_second, load.transaction_seconds
    return {
        "lag_records": load.lag_records,
        "lag_claims": load.lag_claims,
        "claims_per_second": None if pace is None else round(pace),
        "transaction_seconds": None if took is None else round(took, 4),
    }
