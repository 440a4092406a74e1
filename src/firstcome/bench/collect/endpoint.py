"""Where a store listens: a checked http or https address, and one bounded request to it.

Each request has a connection of its own, so one that broke leaves nothing behind. Proxies and
redirects are not followed: what the team wrote is where samples go. Messages name the server, but
never the password that its address may hold.
"""

import http.client
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from firstcome.errors import InvalidSettings, Refused, Unavailable

TIMEOUT_SECONDS = 1.0  # of connecting and of each read: a sample comes each second
REASON_BYTES = 300  # of a refusal: enough for the first sentence
PORTS = {"http": 80, "https": 443}


class Endpoint(NamedTuple):
    """One server, and the path of it that the address named."""

    scheme: str
    host: str
    port: int
    path: str
    authorization: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Take an address apart. Raises InvalidSettings when nothing can be sent to it."""
        try:
            parts = urlsplit(url)
            port = parts.port or PORTS[parts.scheme]
        except KeyError:
            raise InvalidSettings(
                f"a store's address begins with http:// or https://, not {parts.scheme!r}"
            ) from None
        except ValueError as error:
            raise InvalidSettings(f"a store's address cannot be read: {error}") from None
        if not parts.hostname or parts.query or parts.fragment:
            raise InvalidSettings("a store's address is http://HOST:PORT/PATH, and no more")
        credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        basic = f"Basic {b64encode(credentials.encode()).decode()}" if parts.username else ""
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), basic)

    @property
    def server(self) -> str:
        """Host and port, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send it and wait for a 2xx.

        Raises Unavailable when trying again may help, and Refused when the server will never
        take this body.
        """
        try:
            status, reason = self._answer(path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no answer: {error or type(error).__name__}") from error
        if 200 <= status < 300:
            return
        said = f"HTTP {status}: {reason}"
        raise Unavailable(said) if status == 429 or status >= 500 else Refused(said)

    def _answer(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        secure = self.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=TIMEOUT_SECONDS)
        own = {"Authorization": self.authorization} if self.authorization else {}
        try:
            connection.request("POST", path, body, {**headers, **own})
            response = connection.getresponse()
            text = response.read(REASON_BYTES).decode(errors="replace")
            return response.status, " ".join(text.split())
        finally:
            connection.close()
