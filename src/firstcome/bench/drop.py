"""A real drop: campaigns, a crowd over HTTP, and then the whole truth about it.

It stands where the users stand: it creates campaigns as an operator would, asks
through the public port, and judges by what the crowd was told and what the
database holds. Every drop uses campaigns of its own, so a stack that serves
others may be asked too; their load is then part of the figures.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from firstcome import postgres
from firstcome.bench.aftermath import Aftermath, laws_held, session
from firstcome.bench.answers import Answers
from firstcome.bench.generators import Generators
from firstcome.bench.measure import (
    CpuTimes,
    MachineTimes,
    is_alive,
    journals_empty,
    used_memory,
)
from firstcome.bench.offering import offer
from firstcome.bench.plan import Asked, Plan, Said, check_loopback
from firstcome.bench.report import LawHeld
from firstcome.bench.shopfront import Shopfront
from firstcome.bench.tokens import Signer
from firstcome.bench.truth import Offer
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId, Engine
from firstcome.settings import Settings

FINAL_SECONDS = 90.0  # every answer must be final by then; longer than the sweeper needs
TRIM_SECONDS = 20.0
WATCH_SECONDS = 0.5


class Progress(NamedTuple):
    """How far a drop is; counts of requests, but `issued` of rows."""

    stage: str
    seconds: float = 0.0
    requests: int = 0
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    issued: int = 0
    overloaded: int = 0  # of the failed: 429 and 503


class Measured(msgspec.Struct):
    """The raw findings of one drop, before anything is computed from them."""

    campaign_ids: list[CampaignId]
    started_at: float
    answers: Answers
    generator: Said
    final: bool
    offers: Sequence[Offer]
    commit_times: bool
    cpu_seconds: dict[str, float]
    steal_percent: float | None
    others_percent: float | None
    redis_bytes: int | None
    laws: list[LawHeld]
    notes: list[str]


class Drop:
    """One drop against the stack that the settings name. Blocking; use once."""

    def __init__(
        self,
        settings: Settings,
        asked: Asked,
        processes: Callable[[], Mapping[str, Sequence[int]]],
        watch: Callable[[Progress], None],
    ) -> None:
        """`processes` tells the process ids by role, whose CPU time is measured."""
        self._settings = settings
        self._asked = asked
        self._processes = processes
        self._watch = watch
        self._notes: list[str] = []
        self.campaign_ids: list[CampaignId] = []  # once they are made

    def run(self) -> Measured:
        """Do it all; takes the load's time and some seconds.

        Raises Refused before anything is created when the target is another machine or no
        tokens can be signed; Unavailable when the stack does not answer.
        """
        api = self._settings.api
        host = check_loopback(api.host)
        signer = Signer.of(self._settings.auth)
        shopfront = Shopfront(host, api.port, signer)
        opens_at = self._opening()
        campaign_ids = self.campaign_ids = offer(self._settings, self._asked, opens_at)
        self._watch(Progress("waiting for the campaigns to open"))
        for campaign_id in campaign_ids:
            shopfront.wait_open(campaign_id)
        plan = Plan(
            host,
            api.port,
            [int(campaign_id) for campaign_id in campaign_ids],
            self._asked.crowd,
            self._asked.arrivals,
            signer,
            answers_file="",
            connections=-(-self._asked.connections // self._asked.processes),
            timeout_seconds=self._asked.timeout_seconds,
            shares=self._asked.processes,
        )
        with Generators(plan) as generators, session(self._settings.postgres) as database:
            self._watch(Progress("signing tokens, opening connections"))
            generators.wait_ready()
            return self._measure(generators, database, campaign_ids, opens_at)

    def _opening(self) -> float | None:
        """Return when a burst's campaigns open: enough time ahead for a token for everybody."""
        if self._asked.arrivals.shape != "burst" or self._asked.campaign_id is not None:
            return None
        ahead = 5.0 + self._asked.crowd.users * 20e-6 + self._asked.connections * 1e-3
        return float(int(time.time() + ahead))

    def _measure(
        self,
        generators: Generators,
        database: postgres.Connection,
        campaign_ids: list[CampaignId],
        opens_at: float | None,
    ) -> Measured:
        memory = self._memory()
        processes = self._processes()
        cpu, machine = CpuTimes.read(processes), MachineTimes.read()
        started_at = max(opens_at or 0.0, time.time() + 0.2)
        generators.start(started_at)
        generator = self._watch_load(generators, database, campaign_ids, started_at)
        answers = generators.answers()
        aftermath = Aftermath(database, self._asked, campaign_ids, answers)
        self._watch(Progress("waiting until every answer is final"))
        final = aftermath.wait(FINAL_SECONDS)
        machine_now = MachineTimes.read()
        cpu_seconds = self._cpu_since(cpu, processes)
        ours = sum(cpu_seconds.values()) + generator.cpu_seconds
        redis_bytes = self._memory_used(memory, database, campaign_ids)
        self._watch(Progress("checking the laws"))
        return Measured(
            campaign_ids=campaign_ids,
            started_at=started_at,
            answers=answers,
            generator=generator,
            final=final,
            offers=aftermath.offers(),
            commit_times=aftermath.commit_times,
            cpu_seconds=cpu_seconds,
            steal_percent=machine_now.steal_percent(machine),
            others_percent=machine_now.others_percent(machine, ours) if cpu_seconds else None,
            redis_bytes=redis_bytes,
            laws=laws_held(self._settings, campaign_ids),
            notes=self._notes,
        )

    def _watch_load(
        self,
        generators: Generators,
        database: postgres.Connection,
        campaign_ids: list[CampaignId],
        started_at: float,
    ) -> Said:
        """Report progress until every request has its answer; return the generator's last word."""
        ids = {"ids": campaign_ids}
        self._watch(Progress("waiting for the opening second"))
        time.sleep(max(0.0, started_at - time.time()))
        while True:
            said = generators.progress()
            with postgres.translated():
                row = database.execute(postgres.queries("drop")["reached"], ids).fetchone()
            self._watch(
                Progress(
                    "asking",
                    time.time() - started_at,
                    self._asked.crowd.requests,
                    said.sent,
                    said.accepted,
                    said.refused,
                    said.failed,
                    row[0] if row else 0,
                    said.overloaded,
                )
            )
            if said.state == "done":
                return said
            generators.wait_done(WATCH_SECONDS)

    def _cpu_since(
        self, before: CpuTimes, processes: Mapping[str, Sequence[int]]
    ) -> dict[str, float]:
        """Return CPU seconds by role; those of a process that has died meanwhile are lost."""
        now = CpuTimes.read(processes)
        died = [role for role, pids in processes.items() if not all(map(is_alive, pids))]
        if died:
            self._notes.append(f"ended during the drop, CPU time unknown: {', '.join(died)}")
        return {role: used for role, used in now.since(before).items() if role not in died}

    def _memory(self) -> int | None:
        """Return Redis' memory, or None where the engine has no gate."""
        if not Engine(self._asked.engine).has_gate:
            return None
        with GateSession.open(self._settings.redis) as session:
            return used_memory(session)

    def _memory_used(
        self, before: int | None, database: postgres.Connection, campaign_ids: list[CampaignId]
    ) -> int | None:
        """Return what the users alone cost Redis: measured when the journals are trimmed."""
        if before is None:
            return None
        self._watch(Progress("waiting until the journals are trimmed"))
        with postgres.translated():
            epochs = database.execute(
                postgres.queries("drop")["epochs"], {"ids": campaign_ids}
            ).fetchall()
        give_up_at = time.monotonic() + TRIM_SECONDS
        with GateSession.open(self._settings.redis) as session:
            while not journals_empty(session, [(row[0], row[1]) for row in epochs]):
                if time.monotonic() > give_up_at:
                    self._notes.append("Redis' memory holds a journal that is not trimmed yet")
                    break
                time.sleep(0.25)
            return used_memory(session) - before
