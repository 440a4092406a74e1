"""Faults of content: records on the topic that no code of ours would have written.

Garbage, records of an unknown version, and claims that cannot be: at a position that there is not,
of a campaign that there is not. Each must end as a dead letter, and hurt nobody beside it.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from random import Random

import msgspec

from firstcome import postgres
from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import eventually
from firstcome.drill.faults import Fault, Missed, Move
from firstcome.errors import DatabaseUnavailable
from firstcome.eventlog.events import IssuanceRequested, encode
from firstcome.eventlog.kafka import Appender
from firstcome.model import POSITION_MAX
from firstcome.settings import IntakeSettings, KafkaSettings, PostgresSettings

APPEND_SECONDS = 20.0
QUARANTINE_SECONDS = 90.0
RECORDS_MAX = 15
NO_CAMPAIGN = 987_654_321


class Poison:
    """Some bad records appended to the topic of claims."""

    def __init__(self, stack: RunningStack, values: list[bytes]) -> None:
        self._kafka = KafkaSettings(**stack.settings["kafka"])
        self._postgres = PostgresSettings(**stack.settings["postgres"])
        self._values = values
        self._letters = -1

    def inject(self) -> str:
        """Append them all; return once the broker has acknowledged each."""
        self._letters = self._dead_letters()
        acknowledged = asyncio.run(self._append())
        if acknowledged != len(self._values):
            raise Missed(f"{acknowledged} of {len(self._values)} bad records were acknowledged")
        return f"{acknowledged} bad records acknowledged, as {self._values[0][:40]!r}"

    def heal(self) -> str:
        """Return once each of them is a dead letter. Raises NotSeen."""
        if self._letters < 0:
            return "nothing was appended"
        expected = self._letters + len(self._values)
        letters = eventually(
            f"{len(self._values)} more dead letters",
            self._dead_letters_if_any,
            lambda count: count >= expected,
            seconds=QUARANTINE_SECONDS,
            every=0.3,
        )
        return f"{letters - self._letters} more dead letters"

    async def _append(self) -> int:
        reported: list[bool] = []
        appender = Appender(self._kafka, IntakeSettings(), lambda: None)
        for value in self._values:
            appender.append(value, lambda delivered: reported.append(delivered))
        await appender.close(APPEND_SECONDS)
        return sum(reported)

    def _dead_letters(self) -> int:
        try:
            with postgres.connect(self._postgres, name="drill-poison") as connection:
                row = connection.execute("SELECT count(*) FROM dead_letters").fetchone()
        except DatabaseUnavailable as error:
            raise Missed(f"nobody can count the dead letters: {error}") from error
        return int(row[0]) if row else 0

    def _dead_letters_if_any(self) -> int:
        try:
            return self._dead_letters()
        except Missed:
            return -1


def moves(stack: RunningStack, campaign: Callable[[], int]) -> list[Move]:
    """Return the kinds of poison; `campaign` names one that runs now."""
    kinds: dict[str, Callable[[Random], bytes]] = {
        "garbage": lambda chance: b"\xff" + chance.randbytes(chance.randint(1, 3000)),
        "unknown version": lambda chance: unknown_version(campaign()),
        "poison": lambda chance: impossible(chance, campaign()),
    }
    return [
        Move(kind, "kafka.topic", partial(_poison, stack, value), lasts=False)
        for kind, value in kinds.items()
    ]


def unknown_version(campaign_id: int) -> bytes:
    """Return a record as a later version might write it."""
    return msgspec.json.encode({"version": 2, "claims": [{"campaign": campaign_id, "who": "x"}]})


def impossible(chance: Random, campaign_id: int) -> bytes:
    """Return a claim that can never have a row: of no campaign, or at a place that cannot be."""
    of, position = chance.choice(((campaign_id, POSITION_MAX + 1), (NO_CAMPAIGN, 1)))
    user = f"poison-{chance.randrange(10**9)}"
    return encode(IssuanceRequested(of, 1, position, [user], [], time.time()))


def _poison(
    stack: RunningStack, value: Callable[[Random], bytes], chance: Random, seconds: float
) -> Fault:
    return Poison(stack, [value(chance) for _ in range(chance.randint(1, RECORDS_MAX))])
