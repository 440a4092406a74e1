"""How each user of the crowd says who he is: a signed token, or the gateway's header.

Tokens are made with hmac alone: a JWT library costs ten times as much, and a
crowd of a million signs its tokens before the clock starts.
"""

import base64
import hmac
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
            return lambda user: b"X-User-Id: %s\r\n" % user.encode()
        now = int(time.time())
        key = self.secret.encode()
        head = _base64(b'{"alg":"HS256","typ":"JWT"}') + b"."
        rest = msgspec.json.encode(
            {"iss": self.issuer, "aud": self.audience, "iat": now, "exp": now + TOKEN_SECONDS}
        )

        def header(user: str) -> bytes:
            token = head + _base64(b'{"sub":"%s",%s' % (user.encode(), rest[1:]))
            signature = _base64(hmac.digest(key, token, "sha256"))
            return b"Authorization: Bearer %s.%s\r\n" % (token, signature)

        return header


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
