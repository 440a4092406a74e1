"""Values and pure rules of a drop. They know no engine.

Everything on the path imports from here; this module imports nothing of ours.
It promises that two modules that speak of a position, an attempt or a status
mean the same thing.
"""

import re
import zlib
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple, NewType

CampaignId = NewType("CampaignId", int)
UserId = NewType("UserId", str)
Position = NewType("Position", int)

# Redis packs (position, attempt) into one integer that a Lua number holds: 27 + 24 < 53 bits.
POSITION_MAX = 2**27 - 1
STOCK_MAX = 100_000_000
ATTEMPT_MAX = 2**24 - 1

USER_ID_PATTERN = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")
# Printable ASCII without the quote, the backslash and the comma of structured header fields.
IDEMPOTENCY_KEY_PATTERN = re.compile(r"[!#-+\--\[\]-~]{1,255}")


class Engine(StrEnum):
    """The log that carries a campaign's claims to the database.

    `has_gate`: claims pass through the gate, so there are epochs, a journal, rebuilds; without it
    the campaign's own row counts the positions. `has_topic`: the log's topic carries them, so its
    recorders may still come to them.
    """

    has_gate: bool
    has_topic: bool

    DIRECT = "direct", False, False
    QUEUE = "queue", True, False
    KAFKA = "kafka", True, True

    def __new__(cls, name: str, has_gate: bool = False, has_topic: bool = False) -> "Engine":
        """One line of the table above."""
        engine = str.__new__(cls, name)
        engine._value_ = name
        engine.has_gate, engine.has_topic = has_gate, has_topic
        return engine


class CampaignState(StrEnum):
    """What an operator has decided; opening times come on top."""

    OPEN = "OPEN"
    PAUSED = "PAUSED"
    CLOSED = "CLOSED"
    ARCHIVED = "ARCHIVED"


class Status(StrEnum):
    """Where a (campaign, position) stands; it never moves backwards (law L7)."""

    REQUESTED = "REQUESTED"
    ISSUED = "ISSUED"
    UNDER_REVIEW = "UNDER_REVIEW"
    CANCELLED = "CANCELLED"
    NOT_REQUESTED = "NOT_REQUESTED"


# The two settled bits of a position, in the gate, are an index into this tuple.
SETTLED = (Status.REQUESTED, Status.ISSUED, Status.UNDER_REVIEW, Status.CANCELLED)


class Verdict(IntEnum):
    """What the gate says of one claim (three bits in admit.lua's reply)."""

    SOLD_OUT = 0
    ADMITTED = 1
    REPLAYED = 2  # the same user with the same Idempotency-Key
    DUPLICATE = 3  # the same user, another request
    NOT_OPEN = 4
    PAUSED = 5
    CLOSED = 6


class Outcome(StrEnum):
    """The answer to one claim. REQUESTED and ISSUED are promises."""

    REQUESTED = "REQUESTED"
    ISSUED = "ISSUED"  # by the engine `direct`, whose answer is the committed row
    DUPLICATE = "DUPLICATE_COUPON_ISSUE"
    OUT_OF_STOCK = "COUPON_OUT_OF_STOCK"
    NOT_OPEN = "CAMPAIGN_NOT_OPEN"
    CLOSED = "CAMPAIGN_CLOSED"
    NOT_FOUND = "CAMPAIGN_NOT_FOUND"
    UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"
    UNKNOWN = "OUTCOME_UNKNOWN"


PROMISES = (Outcome.REQUESTED, Outcome.ISSUED)


class Answer(NamedTuple):
    """An outcome with what the caller may be told about the place that the user holds."""

    outcome: Outcome
    position: int = 0  # 0: none
    status: Status = Status.NOT_REQUESTED
    replayed: bool = False


class Standing(NamedTuple):
    """Where a user stands in a campaign; `problem` instead, when that cannot be said now."""

    status: Status
    position: int = 0  # 0: none
    problem: Outcome | None = None  # NOT_FOUND or UNAVAILABLE


class Claim(NamedTuple):
    """One admitted request: a user's position in a campaign, within an epoch of the gate."""

    campaign_id: CampaignId
    epoch: int
    position: Position
    user_id: UserId
    attempt: int  # 0: the request came without an Idempotency-Key
    requested_at: float  # seconds since 1970, by the clock of the process that asked the gate


class Campaign(NamedTuple):
    """A campaign as PostgreSQL knows it. Times are aware; None means no bound."""

    campaign_id: CampaignId
    name: str
    engine: Engine
    state: CampaignState
    stock: int
    position_limit: int
    opens_at: datetime | None
    closes_at: datetime | None
    epoch: int
    version: int
    created_at: datetime


def attempt_of(idempotency_key: str) -> int:
    """Return the short hash that stands for an Idempotency-Key: 1 to ATTEMPT_MAX.

    Two keys of one user in one campaign collide once in 16 million; the second
    request then hears the first one's answer instead of "duplicate".
    """
    return zlib.crc32(idempotency_key.encode()) % ATTEMPT_MAX + 1
