"""A problem as an answer, for those who stand before the routing: a page for people, else JSON."""

from collections.abc import Callable

import msgspec
from litestar.types import HTTPScope, Send

from firstcome.console.problems import MEDIA_TYPE, PROBLEMS, headers_of, problem

# An answer's media type and body, for a problem's code and detail.
Page = Callable[[HTTPScope, str, str], tuple[str, bytes]]


def wants_page(scope: HTTPScope) -> bool:
    """Whether a browser asks, for something that people read."""
    return any(b"text/html" in each for each in sent(scope, b"accept"))


def sent(scope: HTTPScope, wanted: bytes) -> list[bytes]:
    """Return every value of a request's header; its name in small letters."""
    return [value for name, value in scope["headers"] if name == wanted]


async def send_problem(scope: HTTPScope, send: Send, page: Page, code: str, detail: str) -> None:
    """Answer with a problem, and nothing after it."""
    media_type, body = MEDIA_TYPE, msgspec.json.encode(problem(code, detail))
    if wants_page(scope):
        media_type, body = page(scope, code, detail)
    headers = headers_of(code) | {"Content-Type": media_type}
    await send(
        {
            "type": "http.response.start",
            "status": PROBLEMS[code][0],
            "headers": [(name.lower().encode(), each.encode()) for name, each in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
