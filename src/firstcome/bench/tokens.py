"""How each user of the crowd says who he is: a signed token, or the gateway's header.

Tokens are made with hmac alone: a JWT library costs ten times as much, and a
crowd of a million signs its tokens before the clock starts.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Callable

import msgspec

from firstcome.errors import Refused
from firstcome.settings import AuthSettings

TOKEN_SECONDS = 3600


class Signer(msgspec.Struct, frozen=True):
    """What is needed to speak for every user; `secret` is empty in mode gateway."""

    secret: str = ""
    issuer: str = ""
    audience: str = ""

    @classmethod
    def of(cls, auth: AuthSettings) -> "Signer":
        """Take it from the settings. Raises Refused where the signing key is not ours."""
        if auth.mode == "gateway":
            return cls()
        if auth.secret is None:
            raise Refused(
                "a drop signs a token for every user, but auth.secret is not set: nothing was "
                "sent. Start the local stack (firstcome up), or use one with HS256 tokens or "
                "in mode gateway"
            )
        return cls(auth.secret.get_secret_value(), auth.issuer, auth.audience)

    def headers(self) -> Callable[[str], bytes]:
        """Return what makes the header line of a user's name, for about TOKEN_SECONDS."""
        if not self.secret:
            return _named
        return self._signed(self.secret, time.time())

    def forgeries(self) -> list[Callable[[str], bytes]]:
        """Return what makes header lines by which nobody may be let in (law L8).

        Signed by another key, unsigned, expired; where tokens count, a gateway's header too.
        """
        now = time.time()
        forgeries = [
            self._signed(secrets.token_hex(32), now),
            self._signed("", now, algorithm="none"),
            self._signed(self.secret or secrets.token_hex(32), now - 2 * TOKEN_SECONDS),
        ]
        return [*forgeries, _named] if self.secret else forgeries

    def _signed(
        self, secret: str, now: float, *, algorithm: str = "HS256"
    ) -> Callable[[str], bytes]:
        """Return what makes tokens of the second `now`; without a secret they end in a dot."""
        begins, key = int(now), secret.encode()
        head = _base64(b'{"alg":"%s","typ":"JWT"}' % algorithm.encode()) + b"."
        rest = msgspec.json.encode(
            {"iss": self.issuer, "aud": self.audience, "iat": begins, "exp": begins + TOKEN_SECONDS}
        )

        def header(user: str) -> bytes:
            token = head + _base64(b'{"sub":"%s",%s' % (user.encode(), rest[1:]))
            signature = _base64(hmac.digest(key, token, "sha256")) if key else b""
            return b"Authorization: Bearer %s.%s\r\n" % (token, signature)

        return header


def _named(user: str) -> bytes:
    """Return the header line of a trusted gateway."""
    return b"X-User-Id: %s\r\n" % user.encode()


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
