"""The issuer's public keys, fetched from its JSON Web Key Set (RFC 7517).

Stands beside the path of a request: the look-up is a dictionary, the fetch runs in a thread. A
token with an unknown key id triggers at most one fetch per window, however many come; a
failed fetch keeps the keys that are there (the two halves of CVE-2026-48524).
"""

import asyncio
import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import jwt
import msgspec
import structlog

from firstcome.api.problems import BAD_TOKEN, REPLIES
from firstcome.api.replies import Reply
from firstcome.api.tokens import PublicKey, Rules, Verified, header_of, payload_signed_by, usable
from firstcome.errors import InvalidSettings
from firstcome.settings import AuthSettings

FETCH_WINDOW_SECONDS = 30.0
# Without any key nobody can be let in, so the wait is shorter then.
FIRST_FETCH_WINDOW_SECONDS = 3.0
# A key that the issuer withdrew is gone from here after this time.
REFRESH_SECONDS = 600.0
_FETCH_TIMEOUT_SECONDS = 5.0
_SET_BYTES_MAX = 1_048_576
_KEY_ID = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")

log = structlog.get_logger(__name__)


class RemoteKeys:
    """Verifies RS256 and Ed25519 with the keys that an address publishes."""

    def __init__(
        self,
        settings: AuthSettings,
        url: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises InvalidSettings for an address that is not http or https."""
        if not url.startswith(("https://", "http://")):
            raise InvalidSettings("auth.jwks_url must begin with https:// (or http://)")
        self.fetches = 0
        self._rules = Rules(settings)
        self._url = url
        self._clock = clock
        self._keys: dict[str, PublicKey] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fetch the keys for the first time; a failure is logged and tried again when needed."""
        self._fetch_if_due()
        if self._fetching is not None:
            await self._fetching

    def verify(self, token: bytes) -> Verified | Reply:
        """Return what the token says, or why it does not count (503 while keys are fetched)."""
        header = header_of(token.partition(b".")[0])
        if header is None or not _KEY_ID.fullmatch(header.kid):
            return BAD_TOKEN
        key = self._keys.get(header.kid)
        if key is None or self._clock() - self._fetched_at > REFRESH_SECONDS:
            self._fetch_if_due()
        if key is not None:
            return self._rules.check(payload_signed_by(key, token))
        keys_on_their_way = self._fetching is not None or not self._keys
        return REPLIES["TEMPORARILY_UNAVAILABLE"] if keys_on_their_way else BAD_TOKEN

    def _fetch_if_due(self) -> None:
        window = FETCH_WINDOW_SECONDS if self._keys else FIRST_FETCH_WINDOW_SECONDS
        if self._fetching is not None or self._clock() - self._tried_at < window:
            return
        self._tried_at = self._clock()
        self._fetching = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        self.fetches += 1
        try:
            keys = await asyncio.to_thread(_download, self._url)
            if not keys:
                raise ValueError("the set holds no usable key")
        except (OSError, ValueError) as error:
            log.warning("keys_not_fetched", url=self._url, error=str(error), kept=len(self._keys))
        else:
            self._keys = keys
            self._fetched_at = self._clock()
            log.info("keys_fetched", url=self._url, keys=len(keys))
        finally:
            self._fetching = None


def _download(url: str) -> dict[str, PublicKey]:
    """Return the usable keys of a set by id. Blocks. Raises OSError or ValueError."""
    with urllib.request.urlopen(url, timeout=_FETCH_TIMEOUT_SECONDS) as response:  # noqa: S310 - the address is a setting, checked above
        text = response.read(_SET_BYTES_MAX + 1)
    if len(text) > _SET_BYTES_MAX:
        raise ValueError("the set is larger than 1 MiB")
    entries = msgspec.json.decode(text)
    if not isinstance(entries, dict) or not isinstance(entries.get("keys"), list):
        raise ValueError("the answer is no JSON Web Key Set")
    found = ((_id_of(entry), _key_of(entry)) for entry in entries["keys"])
    return {key_id: key for key_id, key in found if key_id is not None and key is not None}


def _id_of(entry: Any) -> str | None:
    key_id = entry.get("kid") if isinstance(entry, dict) else None
    return key_id if isinstance(key_id, str) and _KEY_ID.fullmatch(key_id) else None


def _key_of(entry: Any) -> PublicKey | None:
    """Return a public key for signatures; None for secrets, private keys and other kinds."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    algorithm = {"RSA": "RS256", "OKP": "EdDSA"}.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) not in (algorithm, "Ed25519"):
        return None
    try:
        key = jwt.get_algorithm_by_name(algorithm).from_jwk(entry)
    except (jwt.PyJWTError, ValueError, KeyError, TypeError):
        return None
    return key if usable(key) else None
