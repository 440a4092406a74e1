"""What a request about issuances must look like, and what it asks.

Both doors read requests with these functions, so they understand alike. Pure and bounded: bytes
in, values or a refusal out; the only collaborator is the Authenticator.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from firstcome.api.auth import Authenticator
from firstcome.api.problems import REPLIES
from firstcome.api.replies import Reply
from firstcome.model import IDEMPOTENCY_KEY_PATTERN, CampaignId, UserId, attempt_of

# JSON numbers are exact up to here in every client.
CAMPAIGN_ID_MAX = 2**53
_CAMPAIGN_ID = re.compile(rb"[1-9][0-9]{0,15}")
_WAIT = re.compile(rb"[0-9]{1,4}(\.[0-9]{1,3})?")
_OF_CLAIMS = b"/issuances"
_OF_STATUS = b"/issuances/me"
_CAMPAIGNS = b"/v1/campaigns/"
_KEY_BYTES = bytes(code for code in range(128) if IDEMPOTENCY_KEY_PATTERN.fullmatch(chr(code)))
_KEY_BYTES_MAX = 255
_SINGLE = frozenset((b"authorization", b"x-user-id", b"idempotency-key", b"content-type"))
_WANTED = _SINGLE | {b"content-length", b"transfer-encoding", b"expect", b"connection", b"origin"}
_REPEATED = b""


class Route(NamedTuple):
    """What an address means to the express lane."""

    method: bytes
    campaign_id: CampaignId
    wait_seconds: float


def route_of(url: bytes, wait_seconds_max: float) -> Route | None:
    """Return the express route of a plain address, None for any other.

    Unusual spellings (percent signs, other parameters, absolute form) are None too:
    the ASGI application knows them all and answers the same.
    """
    if not url.startswith(_CAMPAIGNS):
        return None
    path, _, query = url.partition(b"?")
    number, slash, rest = path[len(_CAMPAIGNS) :].partition(b"/")
    campaign_id = campaign_id_of(number)
    if campaign_id is None:
        return None
    if slash + rest == _OF_CLAIMS and url == path:
        return Route(b"POST", campaign_id, 0.0)
    if slash + rest == _OF_STATUS:
        if url == path:
            return Route(b"GET", campaign_id, 0.0)
        if query.startswith(b"wait="):
            wait_seconds = wait_of(query[5:], wait_seconds_max)
            return None if wait_seconds is None else Route(b"GET", campaign_id, wait_seconds)
    return None


def campaign_id_of(number: bytes) -> CampaignId | None:
    """Return the id that a path names, or None: then no campaign can have it."""
    if not _CAMPAIGN_ID.fullmatch(number):
        return None
    campaign_id = int(number)
    return CampaignId(campaign_id) if campaign_id <= CAMPAIGN_ID_MAX else None


def wait_of(seconds: bytes, wait_seconds_max: float) -> float | None:
    """Return how long a status may be waited for, or None if that cannot be read or is too long."""
    if not _WAIT.fullmatch(seconds):
        return None
    wait_seconds = float(seconds)
    return wait_seconds if wait_seconds <= wait_seconds_max else None


def wanted_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers that matter here; the empty name stands for "one came twice"."""
    wanted: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _WANTED:
            if lower in wanted and lower in _SINGLE:
                wanted[_REPEATED] = lower
            wanted[lower] = value
    return wanted


def asked_by(
    route: Route,
    wanted: dict[bytes, bytes],
    body: bytes | bytearray,
    authenticator: Authenticator,
    trusted: bool,
) -> tuple[UserId, int] | Reply:
    """Return who asks, and with which attempt (0 without an Idempotency-Key); or why nobody may."""
    if _REPEATED in wanted:
        return REPLIES["REPEATED_HEADER"]
    user_id = authenticator.user_of(wanted, trusted)
    if isinstance(user_id, Reply):
        return user_id
    if route.method == b"GET":
        return user_id, 0
    key = wanted.get(b"idempotency-key")
    attempt = 0 if key is None else _attempt_named(key)
    if attempt is None:
        return REPLIES["INVALID_IDEMPOTENCY_KEY"]
    refusal = _refusal_of_body(wanted, body) if body else None
    return (user_id, attempt) if refusal is None else refusal


def _attempt_named(value: bytes) -> int | None:
    """Return the attempt that an Idempotency-Key names, bare or quoted; None: unusable.

    The quoted form is the one of draft-ietf-httpapi-idempotency-key-header-07.
    """
    key = value.strip(b" \t")
    if len(key) > 1 and key.startswith(b'"') and key.endswith(b'"'):
        key = key[1:-1]
    if not 0 < len(key) <= _KEY_BYTES_MAX or key.translate(None, _KEY_BYTES):
        return None
    return attempt_of(key.decode("ascii"))


def _refusal_of_body(wanted: dict[bytes, bytes], body: bytes | bytearray) -> Reply | None:
    """Return why a claim's body cannot be used; None if it is `{}`."""
    media_type = wanted.get(b"content-type", b"").partition(b";")[0].strip(b" \t").lower()
    if media_type != b"application/json":
        return REPLIES["UNSUPPORTED_MEDIA_TYPE"]
    if body == b"{}":
        return None
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return REPLIES["INVALID_BODY"]
    return None if fields == {} else REPLIES["INVALID_BODY"]
