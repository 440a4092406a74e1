"""What makes a process come by a failpoint that the crowd alone does not lead it to.

Each method does one thing to a running stack and returns; what is asked for follows by itself.
"""

import asyncio
import http.client
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from threading import Thread

from firstcome import failpoints
from firstcome.bench.stack import VerbFailed
from firstcome.drill.eventually import eventually
from firstcome.drill.processes import Processes
from firstcome.eventlog.events import IssuanceRequested, encode
from firstcome.eventlog.kafka import Appender
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId
from firstcome.settings import IntakeSettings, KafkaSettings, RedisSettings

POISON_POSITION = 100_000_000  # far beyond any limit: law L1 forbids the row
APPEND_SECONDS = 20.0
LETTER_SECONDS = 30.0


class Triggers:
    """For one stack, and a campaign that the crowd wants."""

    def __init__(self, processes: Processes, campaign_id: int) -> None:
        self._processes = processes
        self._stack = processes.stack
        self._campaign_id = campaign_id
        self._number = count(1)

    def named(self, name: str) -> Callable[[], None]:
        """Return the method of that name in cases.TRIGGERS."""
        known: dict[str, Callable[[], None]] = {
            "refuse_append": self.refuse_append,
            "lose_append": self.lose_append,
            "edit": self.edit,
            "poison": self.poison,
            "redrive": partial(self._decide, "redrive"),
            "discard": partial(self._decide, "discard"),
            "kill_redis": self.kill_redis,
        }
        return known[name]

    def refuse_append(self) -> None:
        """The next record is certainly not handed over: compensation follows."""
        failpoints.arm(self._stack.state / "failpoints", "before_append", "drop", role="api")

    def lose_append(self) -> None:
        """The next batch is admitted and never appended: the sweeper finds it when it is due."""
        # Not after_admit: a batch of refusals passes there too, and leaves nothing behind.
        failpoints.arm(self._stack.state / "failpoints", "before_append", "raise", role="api")

    def edit(self) -> None:
        """An operator sets another end, far away: the mirror follows."""
        closes_at = datetime.now(UTC) + timedelta(days=1, minutes=next(self._number))
        path = f"/v1/campaigns/{self._campaign_id}"
        told = self._stack.operate("PATCH", path, {"closes_at": closes_at.isoformat()})
        if told.status != 200:
            raise VerbFailed(f"the campaign was not edited: {told.status} {told.body!r}")

    def poison(self) -> None:
        """A record that no intake wrote, for a position that cannot be: a dead letter follows."""
        settings = self._stack.settings
        with GateSession.open(RedisSettings(**settings["redis"])) as session:
            epoch = register.read(session, CampaignId(self._campaign_id)).epoch
        position = POISON_POSITION + next(self._number)
        # Of a time to come: it stands behind every position, and so do its place and its time.
        moment = (datetime.now(UTC) + timedelta(days=1)).timestamp()
        event = IssuanceRequested(self._campaign_id, epoch or 1, position, ["poison"], [], moment)
        asyncio.run(_append(KafkaSettings(**settings["kafka"]), encode(event)))

    def _decide(self, verb: str) -> None:
        """An operator decides about a dead letter of a poison record, whatever comes of it."""
        self.poison()
        Thread(target=self._decide_first, args=(verb,), daemon=True).start()

    def _decide_first(self, verb: str) -> None:
        def waiting() -> list[int]:
            path = f"/v1/dead-letters?state=QUARANTINED&campaign={self._campaign_id}"
            page = self._stack.operate("GET", path).json or {}
            return [letter["dead_letter_id"] for letter in page.get("dead_letters", [])]

        (first, *_) = eventually("a dead letter waits", waiting, seconds=LETTER_SECONDS)
        # The console may die of it.
        with suppress(OSError, http.client.HTTPException):
            self._stack.operate("POST", f"/v1/dead-letters/{first}/{verb}")

    def kill_redis(self) -> None:
        """Every gate has to be made anew."""
        self._processes.kill("redis")


async def _append(kafka: KafkaSettings, value: bytes) -> None:
    appender = Appender(kafka, IntakeSettings(), lambda: None)
    delivered: list[bool] = []
    appender.append(value, delivered.append)
    await appender.close(APPEND_SECONDS)
    if delivered != [True]:
        raise VerbFailed("the poison record was not acknowledged")
