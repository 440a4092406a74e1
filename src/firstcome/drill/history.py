"""What clients know: every request with its answer and its times, and what was on offer.

The only thing that crowd and judge share. Nothing in it was learnt from an engine.
"""

from typing import NamedTuple

import msgspec

CLAIM, STATUS = "claim", "status"
INTRUSION = "intrusion"  # either of them, with a token that does not count
LOST, TIMED_OUT = "CONNECTION_LOST", "TIMED_OUT"
MALFORMED = "MALFORMED"  # bytes came, but no answer that the contract knows
UNAUTHENTICATED = "UNAUTHENTICATED"
IN_DOUBT = frozenset({LOST, TIMED_OUT, "OUTCOME_UNKNOWN"})
ASK_AGAIN = IN_DOUBT | {"TEMPORARILY_UNAVAILABLE"}
FINAL = frozenset({"ISSUED", "UNDER_REVIEW", "NOT_REQUESTED"})


class Heard(msgspec.Struct, frozen=True, gc=False):
    """One request and its answer, as one client saw it."""

    act: str  # CLAIM, STATUS or INTRUSION
    campaign_id: int
    user: str
    key: str | None
    invoked: float  # monotonic
    answered: float
    code: (
        str  # REQUESTED (202), ISSUED (201), a status that was read, a problem, MALFORMED, IN_DOUBT
    )
    position: int  # 0: none was named
    status: str  # of a status read or a duplicate's issuance; else empty
    replayed: bool

    @property
    def is_promise(self) -> bool:
        """Whether this answer was a 202 or a 201."""
        return self.act == CLAIM and self.code in ("REQUESTED", "ISSUED")

    @property
    def is_in_doubt(self) -> bool:
        """Whether whoever heard this cannot know if he has a place."""
        return self.act == CLAIM and self.code in IN_DOUBT

    def brief(self) -> str:
        """Return it in a few words."""
        return f"{self.act} {self.code} {self.position or ''} {self.status}".strip()


class Offer(NamedTuple):
    """A campaign, and how many of all visitors want it: a share of 1."""

    campaign_id: int
    stock: int
    share: float


class _Issuance(msgspec.Struct):
    position: int
    status: str


class _Body(msgspec.Struct):
    """What any answer may hold; a problem's `status` is a number."""

    position: int = 0
    status: str | int = ""
    code: str = ""
    issuance: _Issuance | None = None


def meaning(head: bytes, body: bytes) -> tuple[str, int, str, bool]:
    """Return code, position, status and whether it is a replay, of one HTTP answer."""
    said = msgspec.json.decode(body, type=_Body)
    http_status = int(head[9:12])
    if http_status in (201, 202):
        return str(said.status), said.position, "", b"idempotency-replayed: true" in head.lower()
    if http_status == 200:
        return str(said.status), said.position, str(said.status), False
    if said.issuance is not None:
        return said.code, said.issuance.position, said.issuance.status, False
    return said.code, 0, "", False
