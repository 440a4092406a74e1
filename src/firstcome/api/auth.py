"""Who is asking: the user of a request, from a signed token or from a trusted gateway.

Stands in front of everything that concerns a user (law L8). Synchronous and free of I/O: the
keys of an issuer are fetched beside the event loop (`api/jwks.py`). A token that was
verified once is remembered until it expires. In mode `gateway` the header X-User-Id counts
only on connections whose peer lies in a trusted network; in mode `jwt` it is not looked at.
"""

import ipaddress
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from firstcome.api.jwks import RemoteKeys
from firstcome.api.problems import BAD_TOKEN, NO_GATEWAY, NO_TOKEN, REPLIES
from firstcome.api.replies import Reply
from firstcome.api.tokens import KeyFile, SharedSecret, Verified
from firstcome.errors import InvalidSettings
from firstcome.model import USER_ID_PATTERN, UserId
from firstcome.settings import AuthSettings

TOKEN_BYTES_MAX = 8192
# About 550 bytes each.
_REMEMBERED_MAX = 50_000
_USER_BYTES = bytes(code for code in range(128) if USER_ID_PATTERN.fullmatch(chr(code)))
_USER_BYTES_MAX = 64


class Authenticator:
    """Tells the user of a request. One per process; its tokens are forgotten with it."""

    def __init__(self, settings: AuthSettings) -> None:
        """Raises InvalidSettings if mode `jwt` has no key, or one that cannot be read."""
        self._gateway = settings.mode == "gateway"
        self._networks = [ipaddress.ip_network(each) for each in settings.gateway_networks]
        self._trusts = lru_cache(maxsize=1024)(self._in_gateway_networks)
        self._remote: RemoteKeys | None = None
        self._tokens = None if self._gateway else self._verifier(settings)
        # Header -> (user, expires at). Two generations instead of an order of use: a hit is one
        # look-up. Plain tuples, because the garbage collector does not have to walk them.
        self._young: dict[bytes, tuple[UserId, float]] = {}
        self._old: dict[bytes, tuple[UserId, float]] = {}

    async def start(self) -> None:
        """Fetch the issuer's keys, if they come from an address; a failure is tried again later."""
        if self._remote is not None:
            await self._remote.start()

    def trusts(self, peer: str | None) -> bool:
        """Say whether X-User-Id counts on connections from this address. Ask once a connection."""
        return self._gateway and peer is not None and self._trusts(peer)

    def user_of(self, wanted: Mapping[bytes, bytes], trusted: bool) -> UserId | Reply:
        """Return the user, or the reply that says why there is none.

        `wanted`: the request's headers, lower-case, each known to come once.
        """
        if self._gateway:
            return self._user_in_header(wanted.get(b"x-user-id"), trusted)
        authorization = wanted.get(b"authorization")
        if authorization is None:
            return NO_TOKEN
        known = self._young.get(authorization)
        if known is not None and time.time() < known[1]:
            return known[0]
        return self._user_in_token(authorization)

    def _user_in_header(self, user: bytes | None, trusted: bool) -> UserId | Reply:
        if user is None or not trusted:
            return NO_GATEWAY
        return _user_id(user.strip(b" \t"))

    def _user_in_token(self, authorization: bytes) -> UserId | Reply:
        known = self._old.pop(authorization, None)
        if known is None or time.time() >= known[1]:
            verified = self._verified(authorization)
            if isinstance(verified, Reply):
                return verified
            user_id = _user_id(verified.user_id.encode("utf-8", "replace"))
            if isinstance(user_id, Reply):
                return user_id
            known = (user_id, verified.expires_at)
        if len(self._young) >= _REMEMBERED_MAX // 2:
            self._old, self._young = self._young, {}
        self._young[authorization] = known
        return known[0]

    def _verified(self, authorization: bytes) -> Verified | Reply:
        scheme, _, token = authorization.strip(b" \t").partition(b" ")
        if self._tokens is None or scheme.lower() != b"bearer" or not token:
            return NO_TOKEN
        if len(token) > TOKEN_BYTES_MAX:
            return BAD_TOKEN
        return self._tokens.verify(token.strip(b" "))

    def _in_gateway_networks(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)

    def _verifier(self, settings: AuthSettings) -> SharedSecret | KeyFile | RemoteKeys:
        if settings.secret is not None:
            return SharedSecret(settings, settings.secret.get_secret_value())
        if settings.key_file is not None:
            return KeyFile(settings, _read(settings.key_file))
        if settings.jwks_url is not None:
            self._remote = RemoteKeys(settings, settings.jwks_url)
            return self._remote
        raise InvalidSettings(
            "auth.mode is jwt, but there is no key to check tokens with: set auth.secret "
            "(FIRSTCOME_AUTH__SECRET), auth.key_file or auth.jwks_url"
        )


def _user_id(user: bytes) -> UserId | Reply:
    if 0 < len(user) <= _USER_BYTES_MAX and not user.translate(None, _USER_BYTES):
        return UserId(user.decode("ascii"))
    return REPLIES["INVALID_USER_ID"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidSettings(
            f"auth.key_file {path} cannot be read ({error.strerror}): no token could be "
            "checked; set it to a readable PEM file with the issuer's public key"
        ) from error
