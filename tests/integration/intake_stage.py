"""Everything that answers a claim or a status, on engines of its own that a test may stop."""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

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
from firstcome.local.folder import StackFolder
from firstcome.local.shape import Shape
from firstcome.local.stack import Stack
from firstcome.model import Answer, CampaignId, Standing, UserId
from firstcome.settings import Settings
from tests.integration.conftest import _settings_of
from tests.integration.gate_stage import campaign, connected, eventually, fresh_id, open_gate

QUICK = {
    "answer_deadline_seconds": 1.2,
    "away_after_seconds": 0.6,
    "heartbeat_seconds": 0.1,
}


class OwnEngines:
    """PostgreSQL, Valkey and Kafka of one test module."""

    def __init__(self, state: Path) -> None:
        self.stack = Stack(StackFolder(state))
        self.stack.up(Shape(engines_only=True))
        self.settings = _settings_of(state)
        postgres.migrate(self.settings.postgres)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Keep one engine from doing anything, without killing it."""
        processes: Any = self.stack.status()["processes"]
        [pid] = [process["pid"] for process in processes if process["name"] == name]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def of_one_test(
        self, *, intake: dict[str, Any] | None = None, kafka: dict[str, Any] | None = None
    ) -> Settings:
        """Return quick settings with a log of their own; what is given is not checked."""
        name = f"test-{fresh_id()}"
        return self.settings.model_copy(
            update={
                "intake": self.settings.intake.model_copy(update=QUICK | (intake or {})),
                "kafka": self.settings.kafka.model_copy(
                    update={"topic_prefix": name, "group_id": name} | (kafka or {})
                ),
                "redis": self.settings.redis.model_copy(update={"call_timeout_seconds": 0.5}),
            }
        )


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
