"""One HTTP reply, ready for either door.

The express lane writes a reply's bytes as they are; the ASGI application takes the same bytes
apart. So both doors answer alike by construction. What belongs to the connection, not to the
answer (status line, Date, Connection, CORS), is added by the door.
"""

from http import HTTPStatus
from typing import NamedTuple

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"


class Reply(NamedTuple):
    """A status and everything of the answer that does not depend on the connection."""

    status: int
    wire: bytes  # header lines, an empty line, the body

    @property
    def headers(self) -> dict[str, str]:
        """The header lines; no name comes twice."""
        lines = self.wire.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")
        return dict(line.split(": ", 1) for line in lines)

    @property
    def body(self) -> bytes:
        """The body alone."""
        return self.wire.partition(b"\r\n\r\n")[2]


def reply(status: int, body: bytes, *headers: bytes, media_type: bytes = JSON) -> Reply:
    """Return a reply; nobody may store it, because places change within milliseconds."""
    lines = b"".join(line + b"\r\n" for line in headers)
    return Reply(
        status,
        b"content-type: %b\r\ncontent-length: %d\r\ncache-control: no-store\r\n%b\r\n%b"
        % (media_type, len(body), lines, body),
    )


def status_line(status: int) -> bytes:
    """Return the first line of an HTTP/1.1 response."""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
