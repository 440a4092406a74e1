"""A crowd on a stage while something breaks, and then everything that became of it.

The crowd is that of `firstcome drop`: a process of its own that sends each request at its time,
whatever comes back, and one answer for each request. Nobody asks again, so that every single
answer is there to be looked at. At the end the answers are held against the rows, and the laws
are checked over gate, log and database.
"""

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from firstcome import postgres
from firstcome.bench.aftermath import Aftermath, session
from firstcome.bench.answers import Answers
from firstcome.bench.arrivals import Arrivals
from firstcome.bench.crowd import Crowd
from firstcome.bench.generators import Generators
from firstcome.bench.plan import Asked, Plan, check_loopback
from firstcome.bench.shopfront import Shopfront
from firstcome.bench.tokens import Signer
from firstcome.bench.truth import Offer, Truth
from firstcome.campaigns import Campaigns
from firstcome.drill.probes import Probe, Probes
from firstcome.drill.stage import Stage
from firstcome.errors import LogUnavailable
from firstcome.eventlog.admin import LogAdmin
from firstcome.laws import Laws
from firstcome.model import CampaignId, Engine

FINAL_SECONDS = 120.0  # L3: after a longer absence than 30 s
LAG_ANSWER_SECONDS = 0.9
PROBE_STOCK = 100_000


class Load(msgspec.Struct, frozen=True):
    """What the crowd does: so many requests a second for so long, for so many coupons."""

    rate: float
    seconds: float
    coupons: int
    seed: int
    twice: float = 0.0  # share of users who ask twice at the same time
    hang_seconds: float = 0.25  # how long an answer may take: sets the size of the crowd's pool
    engine: Engine = Engine.KAFKA
    final_seconds: float = FINAL_SECONDS


class Rehearsed(msgspec.Struct):
    """Everything that was seen. Times of answers count from `started_at`."""

    load: Load
    started_at: float  # seconds since 1970
    answers: Answers
    offers: Sequence[Offer]
    probes: list[Probe]
    lag: list[tuple[float, int]]  # seconds since 1970, records
    final: bool
    violations: list[str]  # one sentence for everything that broke a law


Act = Callable[[float], None]  # is given the start of the load, seconds since 1970


def rehearse(stage: Stage, load: Load, act: Act, tell: Callable[[str], None]) -> Rehearsed:
    """Send the crowd, do `act` meanwhile, wait for every answer to be final, judge."""
    settings = stage.settings
    host, port = check_loopback(settings.api.host), settings.api.port
    signer = Signer.of(settings.auth)
    crowd = Crowd(
        round(load.rate * load.seconds / (1 + load.twice)), 1, twice=load.twice, seed=load.seed
    )
    asked = Asked(load.coupons, crowd, Arrivals("rate", load.rate, load.rate))
    crowd_id, probe_id = (
        _campaign(stage, stock, load.engine) for stock in (load.coupons, PROBE_STOCK)
    )
    shopfront = Shopfront(host, port, signer)
    for campaign_id in (crowd_id, probe_id):
        shopfront.wait_open(campaign_id)
    plan = Plan(
        host,
        port,
        [int(crowd_id)],
        crowd,
        asked.arrivals,
        signer,
        answers_file="",
        # As many as wait when answers hang: the crowd must not queue at its own door.
        connections=round(load.rate * load.hang_seconds) + 64,
        rotating=True,
    )
    with Generators(plan) as generators, Probes(host, port, signer, probe_id) as probes:
        tell("signing tokens, opening connections")
        generators.wait_ready()
        started_at = time.time() + 0.2
        generators.start(started_at)
        with _Lag(stage) as lag:
            act(started_at)
            tell("waiting until everybody has an answer")
            while generators.progress().state != "done":
                generators.wait_done(0.2)
        answers = generators.answers()
    tell("waiting until every answer is final")
    with session(settings.postgres) as database:
        aftermath = Aftermath(database, asked, [crowd_id], answers)
        final = aftermath.wait(load.final_seconds)
        offers = aftermath.offers()
    tell("checking the laws")
    return Rehearsed(
        load=load,
        started_at=started_at,
        answers=answers,
        offers=offers,
        probes=sorted(probes.probes),
        lag=lag.seen,
        final=final,
        violations=_violations(stage, asked, answers, offers, [crowd_id, probe_id], final),
    )


def _campaign(stage: Stage, stock: int, engine: Engine) -> CampaignId:
    campaigns = Campaigns(lambda: postgres.connect(stage.settings.postgres))
    return campaigns.create(
        name="drill", stock=stock, opens_at=None, closes_at=None, engine=engine, actor="drill"
    ).campaign_id


def _violations(
    stage: Stage,
    asked: Asked,
    answers: Answers,
    offers: Sequence[Offer],
    campaign_ids: Sequence[CampaignId],
    final: bool,
) -> list[str]:
    said = [] if final else ["not everything was final in its time"]
    said += stage.processes.unexplained()
    for check in Truth(asked.crowd, answers, offers).checks():
        said += [f"{check.rule}: {violation}" for violation in check.violations]
    # Everything is final: a claim that has no row now will never have one.
    laws = stage.settings.laws.model_copy(update={"grace_seconds": 0.001})
    settings = stage.settings.model_copy(update={"laws": laws})
    for result in Laws(settings).check([int(campaign_id) for campaign_id in campaign_ids]):
        said += [f"{result.law}: {violation.detail}" for violation in result.violations[:20]]
    return said


class _Lag:
    """Asks once a second how many records the recorders are behind."""

    def __init__(self, stage: Stage) -> None:
        self.seen: list[tuple[float, int]] = []
        self._admin = LogAdmin(stage.settings.kafka, timeout_seconds=LAG_ANSWER_SECONDS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Lag":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += 1.0
            try:
                lag = self._admin.lag()
            except LogUnavailable:
                continue  # the broker is away: there is nothing to see
            self.seen.append((time.time(), lag))
