"""Quarantine: bad claims are set aside, with reason and origin, and their neighbours go on.

A claim that can have a row keeps its place as UNDER_REVIEW until an operator
decides; what cannot have one (beyond the limit, position of another user,
impossible id, undecodable record) is a dead letter only. Setting the same thing
aside again changes nothing.
"""

from enum import StrEnum
from typing import NamedTuple

from firstcome import postgres
from firstcome.errors import BadRecord
from firstcome.eventlog import events
from firstcome.eventlog.consumer import Origin
from firstcome.eventlog.events import IssuanceRequested
from firstcome.model import Claim, Status

_QUERIES = postgres.queries("issuance")

# PostgreSQL's last representable year is far beyond it; Python's is this one.
_TIME_MAX = 253_402_300_800.0


class Reason(StrEnum):
    """Why something is a dead letter."""

    UNDECODABLE = "UNDECODABLE"  # the record cannot be read
    UNKNOWN_CAMPAIGN = "UNKNOWN_CAMPAIGN"
    UNKNOWN_EPOCH = "UNKNOWN_EPOCH"  # no gate of the campaign ever had this epoch
    IMPOSSIBLE_USER = "IMPOSSIBLE_USER"  # not a user id
    BEYOND_LIMIT = "BEYOND_LIMIT"  # law L1 forbids the row
    POSITION_TAKEN = "POSITION_TAKEN"  # another user's row is at the position
    REJECTED = "REJECTED"  # the database refused the row: the claim is UNDER_REVIEW


class DeadLetter(NamedTuple):
    """A claim (None: a record that could not be read) that is set aside.

    `payload`: the record that could not be read; of a claim it is made when the letter is written.
    """

    claim: Claim | None
    origin: Origin | None
    reason: Reason
    detail: str
    payload: bytes | None = None
    attempts: int = 1


def write(connection: postgres.Connection, letter: DeadLetter) -> bool:
    """Write the dead letter, within the caller's transaction; False: it was there already."""
    claim, origin = letter.claim, letter.origin
    user_id: str | None = claim.user_id if claim else None
    payload = letter.payload
    if user_id is not None and letter.reason is Reason.IMPOSSIBLE_USER:
        # It may hold what a text column cannot.
        payload = user_id.encode("utf-8", "surrogatepass")
        user_id = None
    elif claim is not None and payload is None:
        payload = _alone(claim)
    parameters = {
        "campaign_id": claim and claim.campaign_id,
        "epoch": claim and claim.epoch,
        "position": claim and claim.position,
        "user_id": user_id,
        "attempt": claim and claim.attempt,
        "requested_at": claim and _possible_time(claim),
        "topic": origin and origin.topic,
        "partition": origin and origin.partition,
        "offset": origin and origin.offset,
        "reason": letter.reason,
        "detail": letter.detail.replace("\0", "\\0")[:2000],
        "payload": payload,
        "attempts": letter.attempts,
    }
    with postgres.translated():
        return connection.execute(_QUERIES["dead_letter"], parameters).fetchone() is not None


def keep_under_review(connection: postgres.Connection, claim: Claim) -> Status | None:
    """Give the claim an UNDER_REVIEW row; return what is at its position now, None: nothing.

    Within the caller's transaction, which goes on when the row is impossible.
    """
    parameters = claim._asdict() | {"requested_at": _possible_time(claim)}
    try:
        with postgres.transaction(connection):
            made = connection.execute(_QUERIES["quarantine"], parameters).fetchone()
    except BadRecord:
        return None
    if made:
        return Status.UNDER_REVIEW
    with postgres.translated():
        found = connection.execute(
            _QUERIES["rows_at"],
            {"campaign_id": claim.campaign_id, "positions": f"{{{claim.position}}}"},
        ).fetchone()
    return Status(found[2]) if found else None


def _alone(claim: Claim) -> bytes:
    """Return what the log would carry if the claim had been alone in its batch."""
    return events.encode(
        IssuanceRequested(
            claim.campaign_id,
            claim.epoch,
            claim.position,
            [claim.user_id],
            [claim.attempt],
            claim.requested_at,
        )
    )


def _possible_time(claim: Claim) -> float | None:
    return claim.requested_at if 0 < claim.requested_at < _TIME_MAX else None
