"""A drop in trouble: campaigns, claims that got stuck on their way, and who finishes them."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from confluent_kafka import Producer

from firstcome import postgres
from firstcome.eventlog import topics
from firstcome.eventlog.admin import LogAdmin
from firstcome.eventlog.events import IssuanceRequested, encode
from firstcome.gate import keys, register
from firstcome.gate.session import GateSession
from firstcome.issuance.recorder import Recorder
from firstcome.issuance.recording import Recording
from firstcome.issuance.settled import Settled
from firstcome.issuance.sweeper import Sweeper
from firstcome.model import Campaign, CampaignId, Engine, UserId
from firstcome.postgres import queries
from firstcome.rebuild import Rebuild
from firstcome.settings import Settings
from tests.integration.gate_stage import campaign, fresh_id, open_gate


class Recovery:
    """One database, one log, one Redis; `session` is opened anew by `reconnect`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = self.connect()
        self.database.autocommit = True
        self.session = GateSession.open(settings.redis)
        self.admin = LogAdmin(settings.kafka)
        self.admin.create_topics()
        self._recorders: list[Recorder] = []
        self._topic = topics.issuance_requested(settings.kafka)
        self._producer = Producer(
            {"bootstrap.servers": settings.kafka.bootstrap_servers, "linger.ms": 0}
        )

    def close(self) -> None:
        """End every session."""
        for recorder in self._recorders:
            recorder.close()
        self.session.close()
        self.database.close()

    def connect(self) -> postgres.Connection:
        """Return another session with the database."""
        return postgres.connect(self.settings.postgres)

    def reconnect(self) -> None:
        """Open a session with a Redis that was restarted."""
        self.session.close()
        self.session = GateSession.open(self.settings.redis)

    def open_campaign(
        self,
        *,
        limit: int = 1000,
        epoch: int = 1,
        buckets: int = 20,
        engine: Engine = Engine.KAFKA,
    ) -> CampaignId:
        """Make a campaign; with an open gate, unless it is to be loaded first (epoch 0)."""
        number = fresh_id()
        self.database.execute(
            "INSERT INTO campaigns (campaign_id, name, engine, stock, position_limit, epoch)"
            " OVERRIDING SYSTEM VALUE VALUES (%s, 'test', %s, %s, %s, %s)",
            (number, engine, limit, limit, epoch),
        )
        if epoch:
            self.database.execute(
                "INSERT INTO epochs (campaign_id, epoch, buckets) VALUES (%s, %s, %s)",
                (number, epoch, buckets),
            )
            open_gate(self.session, campaign(number, limit=limit, epoch=epoch), buckets=buckets)
        return number

    def campaign(self, number: CampaignId) -> Campaign:
        """Return the campaign as it is now."""
        found = self.database.execute(queries("campaigns")["show"], {"campaign_id": number})
        return Campaign(*(found.fetchone() or ()))

    def admit(self, number: CampaignId, *users: str, attempt: int = 0) -> list[int]:
        """Claim at the gate as an api process that knows the epoch; return admit.lua's replies."""
        gate = register.read(self.session, number)
        epoch = gate.epoch or 0
        names = [keys.gate(number), keys.journal(number, epoch), keys.settled(number, epoch)]
        args: list[str | int] = [keys.epoch_field(epoch, self.session.run_id), "1795000000.5"]
        for user in users:
            bucket = keys.bucket_of(UserId(user), gate.buckets)
            names.append(f"{keys.users_prefix(number, epoch)}{bucket}")
            args += [user, attempt, len(names)]
        replies: Any = self.session.script("admit", names, args)
        return list(replies)

    def append(self, number: CampaignId, first: int, users: Sequence[str], epoch: int = 1) -> None:
        """Put a batch on the log, or a heartbeat."""
        event = IssuanceRequested(number, epoch, first, list(users), [], 1_795_000_000.5)
        self._producer.produce(self._topic, encode(event) if users else b"")
        assert self._producer.flush(10) == 0

    def recorder(self) -> Recorder:
        """Return a recorder with a session of its own."""
        self._recorders.append(Recorder(self.connect, self.settings.recorder))
        return self._recorders[-1]

    def record_log(self) -> None:
        """Let a recorder come to the log's end; it settles nothing."""
        recording = Recording(
            self.settings.kafka, self.settings.recorder, self.recorder(), _forget_settled
        )
        ends = self.admin.log_ends()
        while not self.admin.has_reached(ends):
            recording.run_once()
        recording.close()

    def sweeper(
        self,
        *,
        log: LogAdmin | None = None,
        rebuild: Callable[[Sequence[Campaign]], int] = len,
        open_session: Callable[[], GateSession] | None = None,
    ) -> Sweeper:
        """Return a sweeper; `rebuild` stands for what would make gates anew."""
        return Sweeper(
            self.settings,
            self.connect,
            open_session or (lambda: GateSession.open(self.settings.redis)),
            log or self.admin,
            self.recorder(),
            rebuild,
        )

    def rebuild(
        self,
        *,
        log: LogAdmin | None = None,
        stop: Event | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Rebuild:
        """Return a rebuild; `log`: its own, if it is to work on another thread."""
        stop = stop or Event()
        return Rebuild(self.settings, log or self.admin, self.recorder(), stop, progress)

    def rows(self, number: CampaignId) -> dict[int, tuple[str | None, str]]:
        """Return (user, status) by position."""
        found = self.database.execute(
            "SELECT position, user_id, coalesce(reason, status::text) FROM issuances"
            " WHERE campaign_id = %s ORDER BY position",
            (number,),
        )
        return {position: (user, status) for position, user, status in found}

    def add_row(
        self,
        number: CampaignId,
        position: int,
        user: str | None,
        status: str = "ISSUED",
        *,
        attempt: int = 0,
        epoch: int = 1,
    ) -> None:
        """Insert a row; a reason in place of the status: cancelled for it."""
        is_live = status in ("ISSUED", "UNDER_REVIEW")
        self.database.execute(
            "INSERT INTO issuances"
            " (campaign_id, position, epoch, attempt, status, user_id, reason, version)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                *(number, position, epoch, attempt, status if is_live else "CANCELLED"),
                *(user, None if is_live else status, None if is_live else 1),
            ),
        )

    def settled(self, number: CampaignId) -> dict[int, int]:
        """Return the settled bits that are not open, by position."""
        epoch = self.campaign(number).epoch
        bits = self.session.call("GET", keys.settled(number, epoch)) or b""
        assert isinstance(bits, bytes)
        found = {n: bits[n // 4] >> 2 * (3 - n % 4) & 3 for n in range(len(bits) * 4)}
        return {position: code for position, code in found.items() if code}

    def journal(self, number: CampaignId) -> int:
        """Return how many entries the journal has."""
        count = self.session.call("XLEN", keys.journal(number, self.campaign(number).epoch))
        assert isinstance(count, int)
        return count


def _forget_settled(_: Settled) -> None:
    """Stand for a recorder that dies before it settles."""


def scaled(settings: Settings, **sections: dict[str, Any]) -> Settings:
    """Return settings with the times of recovery scaled down together; they are not checked."""
    quick: dict[str, dict[str, Any]] = {
        "intake": {"answer_deadline_seconds": 0.2, "away_after_seconds": 0.1},
        "sweeper": {"due_after_seconds": 0.3, "tick_seconds": 0.02},
        "rebuild": {"recorders_timeout_seconds": 10.0, "lock_timeout_seconds": 0.5},
    }
    for name, values in sections.items():
        quick[name] = quick.get(name, {}) | values
    return settings.model_copy(
        update={
            name: getattr(settings, name).model_copy(update=values)
            for name, values in quick.items()
        }
    )
