"""What is written on the log: encode, decode, version.

One record carries one admitted batch: the same unit as one journal entry of the
gate. A record without claims is a heartbeat: it proves that the broker is there.
The value is JSON; CloudEvents attributes travel in the headers (binary mode).
"""

import msgspec

from firstcome.errors import BadRecord
from firstcome.model import ATTEMPT_MAX, POSITION_MAX

ISSUANCE_REQUESTED = "firstcome.issuance-requested.v1"
CLAIMS_MAX = 1000
CAMPAIGN_ID_MAX = 2**63 - 1  # what the database's columns hold
EPOCH_MAX = 2**31 - 1


class IssuanceRequested(msgspec.Struct, frozen=True):
    """A batch that the gate has admitted.

    users[i] holds position first_position + i; attempts is empty when no request
    of the batch had an Idempotency-Key, else attempts[i] belongs to users[i].
    requested_at: seconds since 1970, when the batch was sent to the gate.
    """

    campaign_id: int
    epoch: int
    first_position: int
    users: list[str]
    attempts: list[int]
    requested_at: float


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(IssuanceRequested)


def encode(event: IssuanceRequested) -> bytes:
    """Return the record's value."""
    return _encoder.encode(event)


def decode(value: bytes | None) -> IssuanceRequested | None:
    """Return the event, or None for a heartbeat. Raises BadRecord."""
    if not value:
        return None
    try:
        event = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecord(f"undecodable: {error}") from error
    count = len(event.users)
    if not 0 < count <= CLAIMS_MAX:
        raise BadRecord(f"a record of {count} claims; 1 to {CLAIMS_MAX} are possible")
    if event.attempts and len(event.attempts) != count:
        raise BadRecord(f"{count} users but {len(event.attempts)} attempts")
    if event.campaign_id < 1 or event.epoch < 1 or event.first_position < 1:
        raise BadRecord("campaign, epoch and first position start at 1")
    if event.campaign_id > CAMPAIGN_ID_MAX or event.epoch > EPOCH_MAX:
        raise BadRecord(f"a campaign beyond {CAMPAIGN_ID_MAX} or an epoch beyond {EPOCH_MAX}")
    if event.first_position + count - 1 > POSITION_MAX:
        raise BadRecord(f"a position beyond {POSITION_MAX}")
    if any(not 0 <= attempt <= ATTEMPT_MAX for attempt in event.attempts):
        raise BadRecord("an attempt out of bounds")
    return event
