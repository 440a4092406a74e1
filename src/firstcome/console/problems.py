"""What HTTP makes of an error on the operators' port: one problem+json each, with a stable code.

The only place of the console that knows status codes. Codes that the public port has
too mean the same here; COMMAND_REFUSED and FORBIDDEN are the console's own.
"""

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from firstcome.errors import (
    BadRecord,
    CampaignNotFound,
    DeadLetterNotFound,
    FirstcomeError,
    Refused,
    Unavailable,
)
from firstcome.logs import get_logger

logger = get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2  # one sweep: what an engine's short absence takes to show up as over

# code -> (status, title)
PROBLEMS = {
    "INVALID_REQUEST": (400, "The request cannot be understood"),
    "UNAUTHENTICATED": (401, "An operator's key is needed"),
    "FORBIDDEN": (403, "Another role is needed"),
    "NOT_FOUND": (404, "Nothing is at this address"),
    "CAMPAIGN_NOT_FOUND": (404, "No campaign has that number"),
    "DEAD_LETTER_NOT_FOUND": (404, "No dead letter has that number"),
    "METHOD_NOT_ALLOWED": (405, "This address does not take that method"),
    "COMMAND_REFUSED": (409, "The state of things forbids it"),
    "BODY_TOO_LARGE": (413, "The request body is too large"),
    "TOO_MANY_REQUESTS": (429, "Too many at once"),
    "INTERNAL_ERROR": (500, "The console has a defect"),
    "TEMPORARILY_UNAVAILABLE": (503, "An engine gave no answer"),
    "OUTCOME_UNKNOWN": (503, "Whether it was done is not known"),
}
CODES_BY_STATUS = {
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    429: "TOO_MANY_REQUESTS",
}


class Problem(msgspec.Struct, frozen=True):
    """The body of every error (RFC 9457) with the code that programs may rely on."""

    type: str
    title: str
    status: int
    code: str
    detail: str


def problem(code: str, detail: str) -> Problem:
    """Return the problem that a code stands for."""
    status, title = PROBLEMS[code]
    kebab = code.lower().replace("_", "-")
    return Problem(f"/problems/{kebab}", title, status, code, detail)


def headers_of(code: str) -> dict[str, str]:
    """Return the headers that belong to a code, beside its body."""
    status, _ = PROBLEMS[code]
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in (429, 503) else {}


def code_of(request: Request, error: Exception) -> tuple[str, str]:  # type: ignore[type-arg]
    """Return an error's code and what is said about it; what nobody expected is logged."""
    match error:
        case FirstcomeError():
            return _of_ours(request.method, error)
        case HTTPException() if error.status_code < 500:
            return _of_litestar(error)
        case _:
            logger.error(
                "console_failed", method=request.method, path=request.url.path, exc_info=error
            )
            detail = "The log of the console has the details. Look at the campaign before a repeat."
            return "INTERNAL_ERROR", detail


def response(code: str, detail: str) -> Response[bytes]:
    """Return the HTTP answer of a problem."""
    return Response(
        msgspec.json.encode(problem(code, detail)),
        status_code=PROBLEMS[code][0],
        media_type=MEDIA_TYPE,
        headers=headers_of(code),
    )


def _of_ours(method: str, error: FirstcomeError) -> tuple[str, str]:
    match error:
        case CampaignNotFound():
            return "CAMPAIGN_NOT_FOUND", str(error)
        case DeadLetterNotFound():
            return "DEAD_LETTER_NOT_FOUND", str(error)
        case Refused():
            return "COMMAND_REFUSED", str(error)
        # A read changes nothing, so nothing about it can be in doubt.
        case Unavailable() if error.certain or method == "GET":
            return "TEMPORARILY_UNAVAILABLE", str(error)
        case Unavailable():
            return "OUTCOME_UNKNOWN", f"{error}. Look at the campaign before you repeat it."
        case BadRecord():
            return "INVALID_REQUEST", str(error)
        case _:
            return "INTERNAL_ERROR", str(error)


def _of_litestar(error: HTTPException) -> tuple[str, str]:
    code = CODES_BY_STATUS.get(error.status_code, "INVALID_REQUEST")
    faults = error.extra if isinstance(error.extra, list) else []
    said = [f"{fault.get('key', 'body')}: {fault.get('message')}" for fault in faults]
    return code, "; ".join(said) or error.detail
