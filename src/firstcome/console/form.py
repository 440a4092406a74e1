"""What a page's form has sent: read and bounded before anything is routed.

Only names and texts: what they mean, the page that takes them decides.
"""

from urllib.parse import parse_qs

from litestar.exceptions import ClientException
from litestar.types import HTTPReceiveMessage, Receive
from litestar.types.asgi_types import HTTPRequestEvent

BODY_BYTES_MAX = 16_384  # the largest command is a name and two times
FIELDS_MAX = 1200  # a thousand letters ticked, and what goes with them
CSRF = "csrf"
CONFIRMATION = "confirmation"


class TooLarge(Exception):
    """A body beyond BODY_BYTES_MAX."""


class Form:
    """The fields of one form; what was not sent is empty."""

    def __init__(self, fields: dict[str, list[str]] | None = None) -> None:
        self._fields = fields or {}

    @classmethod
    def of(cls, body: bytes) -> "Form":
        """Return what a body says; nothing if it is no form."""
        try:
            text = body.decode("ascii")
            return cls(parse_qs(text, keep_blank_values=True, max_num_fields=FIELDS_MAX))
        except ValueError:
            return cls()

    def text(self, name: str) -> str:
        """Return a field without the blanks around it."""
        return self._fields.get(name, [""])[0].strip()

    def number(self, name: str) -> int | None:
        """Return a field as a whole number, None when it is none; commas are for the eye."""
        text = self.text(name).replace(",", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None

    def numbers(self, name: str) -> list[int]:
        """Return every number sent under a name. Raises ClientException (400) for another text."""
        texts = self._fields.get(name, [])
        if not all(text.isascii() and text.isdigit() and len(text) <= 18 for text in texts):
            raise ClientException(f"{name}: not a number")
        return [int(text) for text in texts]


async def body_of(receive: Receive) -> bytes:
    """Return a request's whole body. Raises TooLarge."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the client has gone
        body += message["body"]
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge
        more = message["more_body"]
    return body


def again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already once more, then what comes after it."""
    pieces = [HTTPRequestEvent(type="http.request", body=body, more_body=False)]

    async def replayed() -> HTTPReceiveMessage:
        return pieces.pop() if pieces else await receive()  # type: ignore[return-value]

    return replayed
