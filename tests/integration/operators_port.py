"""The operators' port as it runs: its server on a free port, and an operator's client."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic

import httpx2
import psycopg
from pydantic import SecretStr

from firstcome import postgres
from firstcome.campaigns import Campaigns
from firstcome.console.app import ConsoleParts
from firstcome.console.archive import Archive
from firstcome.console.audit import AuditTrail
from firstcome.console.lag import LagWatch
from firstcome.console.live import Live
from firstcome.console.overview import Overview
from firstcome.console.people import People
from firstcome.console.rebuilds import Rebuilds
from firstcome.console.server import server
from firstcome.console.told import Told
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate.session import GateSession
from firstcome.issuance.dead_letters import DeadLetters
from firstcome.issuance.recorder import Recorder
from firstcome.rebuild import Rebuild
from firstcome.settings import ConsoleSettings, PostgresSettings, Settings

KEY = "an operator's key of more than 32 bytes"
NAME = "ann@example.com"
NOBODY = "127.0.0.1:1"  # where no engine listens


@dataclass
class OperatorsPort:
    """A running console; `client` carries key and name, `stranger` nothing."""

    client: httpx2.Client
    stranger: httpx2.Client
    settings: Settings

    def create(self, **fields: object) -> dict[str, object]:
        """Make a campaign and return what was answered."""
        answer = self.client.post("/v1/campaigns", json={"name": "A", "stock": 10, **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, object] = answer.json()
        return made

    def sql(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Run one statement in the database behind the port, and return its rows."""
        url = self.settings.postgres.url.get_secret_value()
        with psycopg.connect(url, autocommit=True) as session:
            cursor = session.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running_console(
    settings: Settings,
    *,
    operator_key: str | None = KEY,
    code_of: Callable[[int, int], str] = lambda campaign_id, position: f"{campaign_id}-{position}",
) -> Iterator[OperatorsPort]:
    """Run the console's own server in a thread until the end of the block."""
    connect = partial(postgres.connect, settings.postgres)
    admin = LogAdmin(settings.kafka, timeout_seconds=2.0)
    open_gate = partial(GateSession.open, settings.redis)
    key = SecretStr(operator_key) if operator_key else None
    campaigns, recorder = Campaigns(connect, code_of), Recorder(connect, settings.recorder)

    def rebuild(stop: threading.Event, say: Callable[[str], None]) -> Rebuild:
        return Rebuild(settings, admin, recorder, stop, say)

    parts = ConsoleParts(
        settings=ConsoleSettings(port=0, operator_key=key),
        campaigns=campaigns,
        overview=Overview(connect, open_gate, LagWatch(admin.log_ends, admin.recorded_up_to).read),
        dead_letters=DeadLetters(connect, open_gate),
        people=People(connect, open_gate),
        audit=(audit := AuditTrail(connect)),
        archive=Archive(campaigns, open_gate),
        rebuilds=Rebuilds(campaigns, audit, rebuild),
        live=Live(Told, 5),
    )
    running = server(parts)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        while not running.started and thread.is_alive():
            thread.join(0.01)
        url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
        with (
            httpx2.Client(base_url=url) as stranger,
            httpx2.Client(
                base_url=url, headers={"Authorization": f"Bearer {KEY}", "X-Operator": NAME}
            ) as client,
        ):
            yield OperatorsPort(client, stranger, settings)
    finally:
        running.should_exit = True
        thread.join()


def eventually(read: Callable[[], object], wanted: object, seconds: float = 20.0) -> None:
    """Return once `read` says what is wanted; else tell what it said last."""
    until = monotonic() + seconds
    while (seen := read()) != wanted:
        assert monotonic() < until, f"after {seconds} s: {seen!r} instead of {wanted!r}"


def without_database(settings: Settings) -> Settings:
    """Return settings whose database does not answer."""
    nobody = PostgresSettings(url=SecretStr(f"postgresql://{NOBODY}/none"))
    return settings.model_copy(update={"postgres": nobody})


def without_gate_and_log(settings: Settings) -> Settings:
    """Return settings whose Redis and Kafka do not answer."""
    return settings.model_copy(
        update={
            "redis": settings.redis.model_copy(update={"url": SecretStr(f"redis://{NOBODY}/0")}),
            "kafka": settings.kafka.model_copy(update={"bootstrap_servers": NOBODY}),
        }
    )
