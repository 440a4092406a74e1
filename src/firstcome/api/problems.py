"""Every problem of the public port: its code, HTTP status and what it tells the caller.

The only place that knows what HTTP makes of a refusal. Each problem says what happened, what it
means for the caller's place and what to do; docs/errors.md and docs/errors.ko.md carry the
same list, and `type` of a problem is the path of its page. Bodies are built once, at import.
"""

from typing import NamedTuple

import msgspec

from firstcome.api.replies import PROBLEM_JSON, Reply, reply
from firstcome.model import Outcome, Status

RETRY_AFTER_SECONDS = 1


class Problem(NamedTuple):
    """One kind of refusal."""

    code: str
    status: int
    title: str
    happened: str
    place: str
    remedy: str
    retry: bool = False

    @property
    def path(self) -> str:
        """The page of this problem, which `type` names."""
        return "/problems/" + self.code.lower().replace("_", "-")

    @property
    def detail(self) -> str:
        """What the caller reads when nothing more particular is known."""
        return f"{self.happened} {self.place} {self.remedy}"


_NO_PLACE = "You hold no place through this request."
_UNTOUCHED = "Nothing was done; a place that you already hold is not touched."

PROBLEMS = {
    problem.code: problem
    for problem in (
        Problem(
            "DUPLICATE_COUPON_ISSUE",
            409,
            "You already have a place",
            "You asked for this coupon before.",
            "Your first place stands; `issuance` says where it is.",
            "Do not ask again; read the status of your issuance.",
        ),
        Problem(
            "COUPON_OUT_OF_STOCK",
            409,
            "Sold out",
            "All coupons of this campaign are given out.",
            _NO_PLACE,
            "Ask again only if the campaign announces more stock.",
        ),
        Problem(
            "CAMPAIGN_NOT_OPEN",
            409,
            "The campaign is not open",
            "The campaign has not opened yet, or it is paused.",
            _NO_PLACE,
            "Ask again once it is open; `opens_at` of the campaign says when.",
        ),
        Problem(
            "CAMPAIGN_CLOSED",
            409,
            "The campaign is over",
            "The campaign gives out no more coupons.",
            _NO_PLACE,
            "There is nothing to do; coupons that you already have stay yours.",
        ),
        Problem(
            "CAMPAIGN_NOT_FOUND",
            404,
            "No such campaign",
            "No campaign has this number.",
            _NO_PLACE,
            "Take the number from GET /v1/campaigns.",
        ),
        Problem(
            "NOT_REQUESTED",
            404,
            "You have no place",
            "You have no issuance in this campaign.",
            "No request of yours was admitted.",
            "Ask for the coupon with POST, if the campaign is open.",
        ),
        Problem(
            "UNAUTHENTICATED",
            401,
            "Who are you?",
            "The request does not prove who sent it.",
            _UNTOUCHED,
            "Sign in again and send the new token as `Authorization: Bearer <token>`.",
        ),
        Problem(
            "TOO_MANY_REQUESTS",
            429,
            "Too many requests at once",
            "This connection sent too many requests without waiting for their answers.",
            "Requests answered before this one count; later ones were not read.",
            "Read the answers, then go on with a new connection.",
            retry=True,
        ),
        Problem(
            "TEMPORARILY_UNAVAILABLE",
            503,
            "Not possible right now",
            "The service cannot take or look up requests at this moment.",
            _UNTOUCHED,
            "Ask again after the seconds of Retry-After, with the same Idempotency-Key.",
            retry=True,
        ),
        Problem(
            "OUTCOME_UNKNOWN",
            503,
            "The outcome is not known yet",
            "Your request was taken, but its confirmation did not come in time.",
            "You may hold a place; if so, it is kept for you.",
            "Ask again after the seconds of Retry-After with the same Idempotency-Key, "
            "or read the status.",
            retry=True,
        ),
        Problem(
            "NOT_READY",
            503,
            "Not ready",
            "This process answers what it has begun, and no new requests any more.",
            _UNTOUCHED,
            "Send requests to another process until /readyz answers 200.",
            retry=True,
        ),
        Problem(
            "INVALID_USER_ID",
            400,
            "The user id cannot be used",
            "A user id has 1 to 64 characters out of A-Z a-z 0-9 _ . : @ and -, and yours has not.",
            _UNTOUCHED,
            "Have the issuer of your token (or the gateway) send an id of that form.",
        ),
        Problem(
            "INVALID_IDEMPOTENCY_KEY",
            400,
            "The Idempotency-Key cannot be used",
            "An Idempotency-Key has 1 to 255 printable ASCII characters, bare or in double quotes, "
            "without spaces, commas, backslashes and quotes inside.",
            _UNTOUCHED,
            "Send a key of that form, such as a UUID, and the same one when you ask again.",
        ),
        Problem(
            "INVALID_BODY",
            400,
            "The body cannot be used",
            "The body of this request is empty or a JSON object without fields, and yours is not.",
            _UNTOUCHED,
            "Send no body, or {}.",
        ),
        Problem(
            "INVALID_PARAMETER",
            400,
            "A parameter cannot be used",
            "`wait` comes once and is a number of seconds between 0 and the server's maximum; "
            "`limit` is a whole number from 1 to 500, `after` the number of a campaign or 0.",
            _UNTOUCHED,
            "Correct or leave out the parameter.",
        ),
        Problem(
            "REPEATED_HEADER",
            400,
            "A header came twice",
            "Authorization, X-User-Id, Idempotency-Key and Content-Type may come only once.",
            _UNTOUCHED,
            "Send each of them once; look for a proxy that adds its own.",
        ),
        Problem(
            "MALFORMED_REQUEST",
            400,
            "This is not HTTP",
            "The request could not be read as HTTP/1.1.",
            "Requests answered before this one count; this one did nothing.",
            "Correct the client; the connection is closed.",
        ),
        Problem(
            "UNSUPPORTED_MEDIA_TYPE",
            415,
            "The body is not JSON",
            "A body must come with Content-Type: application/json.",
            _UNTOUCHED,
            "Send no body, or {} with that Content-Type.",
        ),
        Problem(
            "BODY_TOO_LARGE",
            413,
            "The body is too large",
            "The body is larger than this service reads.",
            _UNTOUCHED,
            "Send no body, or {}; the connection is closed.",
        ),
        Problem(
            "HEADERS_TOO_LARGE",
            431,
            "The headers are too large",
            "The request line and headers together are larger than this service reads.",
            _UNTOUCHED,
            "Send fewer or smaller headers (cookies?); the connection is closed.",
        ),
        Problem(
            "REQUEST_TIMEOUT",
            408,
            "The request did not arrive in time",
            "The whole request did not arrive in time.",
            "Requests answered before this one count; this one did nothing.",
            "Ask again with the same Idempotency-Key; the connection is closed.",
        ),
        Problem(
            "METHOD_NOT_ALLOWED",
            405,
            "The method does not fit",
            "This address does not know this method.",
            _UNTOUCHED,
            "Use a method of the header Allow.",
        ),
        Problem(
            "NOT_FOUND",
            404,
            "No such address",
            "There is nothing at this address.",
            _UNTOUCHED,
            "See /docs for all addresses.",
        ),
        Problem(
            "INTERNAL_ERROR",
            500,
            "Our fault",
            "The service made a mistake while it worked on this request.",
            "You may hold a place; if so, it is kept for you.",
            "Read the status, or ask again with the same Idempotency-Key.",
        ),
    )
}


def refusal(
    code: str, detail: str | None = None, *headers: bytes, issuance: object = None
) -> Reply:
    """Return the reply for a problem; `detail` and `issuance` where more is known."""
    problem = PROBLEMS[code]
    body: dict[str, object] = {
        "type": problem.path,
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": detail or problem.detail,
    }
    if issuance is not None:
        body["issuance"] = issuance
    if problem.retry:
        headers = (*headers, b"retry-after: %d" % RETRY_AFTER_SECONDS)
    return reply(problem.status, msgspec.json.encode(body), *headers, media_type=PROBLEM_JSON)


REPLIES = {code: refusal(code) for code in PROBLEMS}
# RFC 6750: no `error` when the request carries no token at all.
NO_TOKEN = refusal(
    "UNAUTHENTICATED",
    "The request carries no token. Nothing was done. "
    "Sign in and send the token as `Authorization: Bearer <token>`.",
    b"www-authenticate: Bearer",
)
EXPIRED_TOKEN = refusal(
    "UNAUTHENTICATED",
    "The token has expired. Nothing was done. Sign in again and ask with the new token.",
    b'www-authenticate: Bearer error="invalid_token"',
)
BAD_TOKEN = refusal(
    "UNAUTHENTICATED",
    "The token is not one of ours: signature, issuer, audience or times do not fit. "
    "Nothing was done. Sign in again and ask with the new token.",
    b'www-authenticate: Bearer error="invalid_token"',
)
NO_GATEWAY = refusal(
    "UNAUTHENTICATED",
    "The header X-User-Id is missing, or it did not come from a trusted gateway. "
    "Nothing was done. Send the request through the gateway.",
    b"www-authenticate: Gateway",
)


def duplicate(position: int, status: Status) -> Reply:
    """Return the refusal of a user who is already in, with the place that he has."""
    if not position:
        return REPLIES[Outcome.DUPLICATE]
    return refusal(Outcome.DUPLICATE, issuance={"position": position, "status": status})
