"""A drop whose crowd is k6's: the same campaigns, the same truth, another generator.

Where drop.py holds answers against rows request by request, this one holds promises against
rows user by user: k6 tells every promise with user, campaign and position. Everything that the
laws check is checked as well. The waiting time to the row counts from a user's request.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from firstcome import postgres
from firstcome.bench.aftermath import laws_held, session
from firstcome.bench.drop import FINAL_SECONDS, Progress
from firstcome.bench.k6 import K6
from firstcome.bench.k6_command import Outputs
from firstcome.bench.k6_outcome import outcome_of_promises
from firstcome.bench.k6_pulse import Counts
from firstcome.bench.k6_summary import Heard
from firstcome.bench.measure import CpuTimes, MachineTimes
from firstcome.bench.offering import offer
from firstcome.bench.run import Load, Outcome
from firstcome.bench.scenarios import Scenario
from firstcome.bench.shopfront import Shopfront
from firstcome.bench.tokens import Signer
from firstcome.bench.truth import Row
from firstcome.model import CampaignId, Engine
from firstcome.settings import Settings

LOOK_SECONDS = 0.05


class K6Measured(NamedTuple):
    """What was found."""

    load: Load
    outcome: Outcome
    started_at: float
    steal_percent: float | None
    others_percent: float | None
    notes: list[str]


class K6Drop:
    """One drop against the stack that the settings name. Blocking; use once."""

    def __init__(
        self,
        settings: Settings,
        scenario: Scenario,
        engine: Engine,
        seed: int,
        processes: Callable[[], Mapping[str, Sequence[int]]],
        watch: Callable[[Progress], None],
        outputs: Outputs | None = None,
    ) -> None:
        self._settings = settings
        self._scenario = scenario
        self._asked = scenario.asked(engine, seed)
        self._processes = processes
        self._watch = watch
        self._signer = Signer.of(settings.auth)
        api = settings.api
        self._k6 = K6(api.host, api.port, self._signer, outputs)
        self.campaign_ids: list[CampaignId] = []  # once they are made
        self._groups: Mapping[str, Sequence[int]] = {}
        self._at_work: tuple[CpuTimes, MachineTimes] | None = None  # at the first answers

    def run(self) -> K6Measured:
        """Do it all. Raises Refused and Unavailable."""
        scenario, seed = self._scenario, self._asked.crowd.seed
        opens_at = None
        if scenario.arrivals.shape == "burst":
            opens_at = float(int(time.time() + K6.ready_seconds(scenario) + 1))
        ids = self.campaign_ids = offer(self._settings, self._asked, opens_at)
        shopfront = Shopfront(self._settings.api.host, self._settings.api.port, self._signer)
        for campaign_id in ids:
            shopfront.wait_open(campaign_id)
        groups = self._groups = self._processes()
        before = CpuTimes.read(groups), MachineTimes.read()
        self._watch(Progress("k6 prepares its virtual users"))
        heard = self._k6.run(
            scenario, [int(each) for each in ids], seed, opens_at=opens_at, watch=self._note
        )
        self._watch(Progress("waiting until every answer is final"))
        rows, final = self._final(heard)
        cpu, machine = self._at_work or before
        spent, machine_now = CpuTimes.read(groups).since(cpu), MachineTimes.read()
        self._watch(Progress("checking the laws"))
        ours = sum(spent.values()) + heard.cpu_seconds
        return K6Measured(
            load=heard.load,
            outcome=outcome_of_promises(
                self._asked, heard, rows, spent, broken_laws(self._settings, ids, final)
            ),
            started_at=heard.started_at,
            steal_percent=machine_now.steal_percent(machine),
            others_percent=machine_now.others_percent(machine, ours),
            notes=heard.notes,
        )

    def _note(self, counts: Counts) -> None:
        if self._at_work is None and any(counts):
            # Making virtual users takes seconds of CPU that are no part of the load.
            self._at_work = CpuTimes.read(self._groups), MachineTimes.read()
        self._watch(
            Progress(
                "k6 asks",
                requests=self._asked.crowd.requests,
                sent=sum(counts),
                accepted=counts.served,
                refused=counts.refused,
                failed=counts.overloaded + counts.faults,
                overloaded=counts.overloaded,
            )
        )

    def _final(self, heard: Heard) -> tuple[dict[int, list[Row]], bool]:
        """Wait until every promise is a row; return the rows by campaign, and whether they are."""
        owed = {int(each): 0 for each in self.campaign_ids}
        for promise in heard.promises:
            owed[promise.campaign_id] += 1
        until = time.monotonic() + FINAL_SECONDS
        with session(self._settings.postgres) as database:
            while not (final := _issued(database, self.campaign_ids) >= sum(owed.values())):
                if time.monotonic() > until:
                    break
                time.sleep(LOOK_SECONDS)
            return {campaign: _rows(database, campaign) for campaign in owed}, final


def broken_laws(settings: Settings, ids: Sequence[CampaignId], final: bool) -> list[str]:
    """Return what does not hold, a sentence each."""
    broken = [f"{law.law} {law.title}" for law in laws_held(settings, ids) if not law.held]
    return broken if final else [*broken, f"everything final within {FINAL_SECONDS:.0f} s"]


def _issued(database: postgres.Connection, campaign_ids: Sequence[CampaignId]) -> int:
    with postgres.translated():
        row = database.execute(
            postgres.queries("drop")["issued"], {"ids": list(campaign_ids)}
        ).fetchone()
    return int(row[0]) if row else 0


def _rows(database: postgres.Connection, campaign_id: int) -> list[Row]:
    with postgres.translated():
        rows = database.execute(
            postgres.queries("drop")["rows_committed"], {"campaign_id": campaign_id}
        ).fetchall()
    return [Row(*row) for row in rows]
