"""Everything that answers a claim or a status."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from firstcome import postgres
from firstcome.campaigns import CampaignDirectory
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin
from firstcome.eventlog.events import IssuanceRequested, decode
from firstcome.eventlog.kafka import Appender
from firstcome.eventlog.reader import read_all
from firstcome.gate import register
from firstcome.gate.gate import Gate, Verdicts
from firstcome.gate.session import GateSession
from firstcome.gate.watcher import SettledWatcher
from firstcome.issuance.compensation import Compensation
from firstcome.issuance.intake import Intake
from firstcome.issuance.release import Release
from firstcome.issuance.status import StatusReader
from firstcome.model import Answer, CampaignId, Standing, UserId
from firstcome.settings import Settings
from tests.integration.gate_stage import campaign, connected, eventually, fresh_id, open_gate


class Stage:
    """One api process without its HTTP, and an operator's two connections."""

    def __init__(self, settings: Settings, session: GateSession) -> None:
        self.settings = settings
        self.session = session
        self.answers: dict[object, list[Answer]] = {}
        self.standings: list[Standing] = []
        self.database = postgres.connect(settings.postgres)
        self.database.autocommit = True
        self.appender: Appender
        self.intake: Intake
        self.statuses: StatusReader
        self.watcher: SettledWatcher

    def open_campaign(self, *, limit: int = 1000) -> CampaignId:
        """Make a campaign with an open gate in its first epoch."""
        number = fresh_id()
        self.database.execute(
            "INSERT INTO campaigns (campaign_id, name, engine, stock, position_limit, epoch)"
            " OVERRIDING SYSTEM VALUE VALUES (%s, 'test', 'kafka', %s, %s, 1)",
            (number, limit, limit),
        )
        self.database.execute(
            "INSERT INTO epochs (campaign_id, epoch, buckets) VALUES (%s, 1, 7)", (number,)
        )
        open_gate(self.session, campaign(number, limit=limit))
        return number

    def claim(self, number: CampaignId, user: str, attempt: int = 0, *, tag: object = None) -> None:
        """Claim; the answers are kept under the tag."""
        key = user if tag is None else tag
        self.answers.setdefault(key, [])
        self.intake.claim(number, UserId(user), attempt, self.answers[key].append)

    async def answer(self, tag: object) -> Answer:
        """Wait for the one answer."""
        await eventually(f"an answer to {tag}", lambda: self.answers[tag])
        [answer] = self.answers[tag]
        return answer

    async def all_answered(self) -> Counter[str]:
        """Wait until everybody has an answer, see that nobody has two, and count outcomes."""
        await eventually("answers", lambda: all(self.answers.values()))
        assert {len(heard) for heard in self.answers.values()} == {1}
        return Counter(heard[0].outcome.name for heard in self.answers.values())

    def read(self, number: CampaignId, user: str, wait_seconds: float = 0.0) -> None:
        """Ask for a status."""
        self.statuses.read(number, UserId(user), wait_seconds, self.standings.append)

    def settle(self, number: CampaignId, position: int, code: int = 1) -> None:
        """Write a position's settled bits."""
        assert self.session.settle(number, 1, [(position, position, code)]) == 1

    def position_last(self, number: CampaignId) -> int:
        """Return how many places the gate has given."""
        return register.read(self.session, number).position_last

    def appended(self, number: CampaignId) -> dict[int, str]:
        """Return user by position, of everything on the log."""
        topic = topics.issuance_requested(self.settings.kafka)
        found: dict[int, str] = {}
        for record in read_all(self.settings.kafka, topic):
            event: IssuanceRequested | None = decode(record.value)
            if event is not None and event.campaign_id == number:
                found |= dict(enumerate(event.users, event.first_position))
        return found


@asynccontextmanager
async def intake_stage(
    settings: Settings, *, on_verdicts: Callable[[Verdicts], None] = lambda _: None
) -> AsyncIterator[Stage]:
    """Put the parts together as the api process does, and wait until the broker is there."""
    LogAdmin(settings.kafka).create_topics()
    with GateSession.open(settings.redis) as session:
        stage = Stage(settings, session)
        pool = postgres.AsyncPool(settings.postgres)
        async with connected(settings.redis) as connection:
            directory = CampaignDirectory(pool)
            stage.watcher = SettledWatcher(connection, settings.intake.waiters_max)

            def judged(verdicts: Verdicts) -> None:
                on_verdicts(verdicts)
                stage.intake.judged(verdicts)

            gate = Gate(connection, settings.intake, judged)
            stage.appender = Appender(
                settings.kafka, settings.intake, lambda: stage.intake.broker_away()
            )
            stage.intake = Intake(
                settings.intake,
                gate,
                stage.appender,
                stage.watcher,
                Compensation(pool, timeout_seconds=0.5),
                Release(pool, connection),
                directory,
            )
            stage.statuses = StatusReader(gate, stage.watcher, directory, settings.intake)
            stage.appender.start()
            try:
                await eventually("the broker", lambda: not stage.appender.is_away)
                yield stage
            finally:
                stage.watcher.close()
                await stage.intake.drain()
                await stage.appender.close(0.5)
                await pool.close()
                stage.database.close()
