"""User tokens (JSON Web Tokens, RFC 7519): how they are signed and how they are verified.

Every kind of key pins its algorithms (RFC 8725): what a token's header claims never chooses
the key's use, and jku, x5u and jwk in it are not looked at. HS256 is verified here by
hand, because in a drop nearly every token is seen for the first time and PyJWT takes ten
times as long; a conformance test holds it equal to PyJWT. All else is PyJWT.
"""

import binascii
import hashlib
import hmac
import time
from typing import Any, NamedTuple, TypeGuard

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from firstcome.api.problems import BAD_TOKEN, EXPIRED_TOKEN
from firstcome.api.replies import Reply
from firstcome.errors import InvalidSettings
from firstcome.model import UserId
from firstcome.settings import AuthSettings

PublicKey = RSAPublicKey | Ed25519PublicKey
_RSA_BITS_MIN = 2048
_HEADERS_REMEMBERED_MAX = 256
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# The last character of an unpadded segment carries spare bits, which must be zero:
# else one token could be spelled in several ways. Indexed by length modulo 4.
_LAST = (_ALPHABET, b"", _ALPHABET[::16], _ALPHABET[::4])


class Verified(NamedTuple):
    """What a good token says."""

    user_id: UserId  # not yet checked against the form that the model asks for
    expires_at: float  # seconds since 1970, leeway included


class _Claims(msgspec.Struct):
    sub: str
    iss: str
    aud: str | list[str]
    exp: float
    nbf: float = 0.0
    iat: float = 0.0
    jti: str = ""


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""
    # Extensions that would change what the signature means (RFC 7515 4.1.11, RFC 7797).
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b64: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_claims_decoder = msgspec.json.Decoder(_Claims)
_header_decoder = msgspec.json.Decoder(_Header)


class Rules:
    """What the claims of a token must say, whatever it was signed with."""

    def __init__(self, settings: AuthSettings) -> None:
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._leeway_seconds = settings.leeway_seconds

    def check(self, payload: bytes | None) -> Verified | Reply:
        """Return what a payload with a good signature says; None stands for a bad one."""
        try:
            claims = _claims_decoder.decode(payload or b"")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return BAD_TOKEN
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.iss != self._issuer or self._audience not in audience:
            return BAD_TOKEN
        now, leeway_seconds = time.time(), self._leeway_seconds
        if max(claims.nbf, claims.iat) // 1 > now + leeway_seconds:
            return BAD_TOKEN
        expires_at = claims.exp // 1 + leeway_seconds
        if expires_at <= now:
            return EXPIRED_TOKEN
        return Verified(UserId(claims.sub), expires_at)


class SharedSecret:
    """Signs and verifies HS256 with a secret that both sides know."""

    def __init__(self, settings: AuthSettings, secret: str) -> None:
        self._rules = Rules(settings)
        self._settings = settings
        self._secret = secret.encode()
        # HMAC (RFC 2104) with the key's half of the work done: 1 us a token less than hmac.digest.
        key = self._secret if len(self._secret) <= 64 else hashlib.sha256(self._secret).digest()
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key.ljust(64, b"\0")))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key.ljust(64, b"\0")))
        # Nearly all tokens of an issuer begin alike.
        self._headers: set[bytes] = set()

    def sign(self, user_id: UserId, expires_in_seconds: int) -> str:
        """Return a token for a user; for the local stack, tests and load."""
        now = int(time.time())
        claims = {
            "sub": user_id,
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "iat": now,
            "exp": now + expires_in_seconds,
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def verify(self, token: bytes) -> Verified | Reply:
        """Return what the token says, or why it does not count."""
        signed, _, signature = token.rpartition(b".")
        header, _, payload = signed.partition(b".")
        # Signature first: nothing that a stranger wrote is parsed before it holds.
        if not hmac.compare_digest(signature, self._signature(signed)):
            return BAD_TOKEN
        if header not in self._headers:
            read = header_of(header)
            if read is None or read.alg != "HS256":
                return BAD_TOKEN
            if len(self._headers) < _HEADERS_REMEMBERED_MAX:
                self._headers.add(header)
        return self._rules.check(_decoded(payload))

    def _signature(self, signed: bytes) -> bytes:
        """Return the signature as it is spelled in a token."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(signed)
        outer.update(inner.digest())
        spelled = binascii.b2a_base64(outer.digest(), newline=False)
        return spelled.translate(_TO_URL_SAFE).rstrip(b"=")


class KeyFile:
    """Verifies RS256 or Ed25519 with one public key."""

    def __init__(self, settings: AuthSettings, pem: bytes) -> None:
        """Raises InvalidSettings if the PEM is no such key."""
        self._rules = Rules(settings)
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidSettings(
                f"auth.key_file is no PEM public key ({error}): no token could be checked; "
                "set it to the issuer's RS256 or Ed25519 public key"
            ) from error
        if not usable(key):
            raise InvalidSettings(
                f"auth.key_file holds a {type(key).__name__} that tokens cannot be checked with; "
                f"set it to an RSA key of at least {_RSA_BITS_MIN} bits or an Ed25519 key"
            )
        self._key = key

    def verify(self, token: bytes) -> Verified | Reply:
        """Return what the token says, or why it does not count."""
        return self._rules.check(payload_signed_by(self._key, token))


def usable(key: object) -> TypeGuard[PublicKey]:
    """Say whether tokens may be checked with this key."""
    if isinstance(key, RSAPublicKey):
        return key.key_size >= _RSA_BITS_MIN
    return isinstance(key, Ed25519PublicKey)


def payload_signed_by(key: PublicKey, token: bytes) -> bytes | None:
    """Return a token's payload, or None if it is not the key's signature that it carries."""
    # `EdDSA` is the older name of `Ed25519` (RFC 9864); PyJWT knows the older one.
    algorithm = "RS256" if isinstance(key, RSAPublicKey) else "EdDSA"
    named = (algorithm,) if algorithm == "RS256" else ("EdDSA", "Ed25519")
    signed, _, signature = token.rpartition(b".")
    header_segment, _, payload = signed.partition(b".")
    header, signature_bytes = header_of(header_segment), _decoded(signature)
    if header is None or header.alg not in named or signature_bytes is None:
        return None
    verifier: Any = jwt.get_algorithm_by_name(algorithm)
    return _decoded(payload) if verifier.verify(signed, key, signature_bytes) else None


def header_of(segment: bytes) -> _Header | None:
    """Return a token's header, unverified; None if it is unreadable or asks for extensions."""
    try:
        header = _header_decoder.decode(_decoded(segment) or b"")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    plain = header.crit is msgspec.UNSET and header.b64 is msgspec.UNSET
    return header if plain else None


def _decoded(segment: bytes) -> bytes | None:
    """Return what a base64url segment spells; there is one spelling for each content."""
    spare = len(segment) % 4
    if segment.translate(None, _ALPHABET) or (spare and segment[-1] not in _LAST[spare]):
        return None
    return binascii.a2b_base64(segment.translate(_URL_SAFE) + b"==="[: -len(segment) % 4])
