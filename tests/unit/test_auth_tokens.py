"""Tokens: verification by hand is PyJWT's, and every known way to forge one fails."""

import base64
import hashlib
import hmac
import json
import random
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firstcome.api.problems import BAD_TOKEN, EXPIRED_TOKEN
from firstcome.api.replies import Reply
from firstcome.api.tokens import KeyFile, SharedSecret, Verified
from firstcome.errors import InvalidSettings
from firstcome.model import UserId
from firstcome.settings import AuthSettings

pytestmark = pytest.mark.unit

SECRET = "a secret of at least thirty-two bytes"
NOW = int(time.time())
GOOD: dict[str, Any] = {"sub": "u", "iss": "firstcome", "aud": "firstcome", "exp": NOW + 600}
SETTINGS = AuthSettings(secret=SECRET)
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()


def _pem(key: Any) -> bytes:
    public: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public


def _segment(content: object) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _signed(header: object, payload: object, secret: str = SECRET) -> bytes:
    signed = _segment(header) + b"." + _segment(payload)
    return signed + b"." + _segment(hmac.digest(secret.encode(), signed, "sha256"))


HS256 = {"alg": "HS256", "typ": "JWT"}


def _with(**claims: object) -> bytes:
    return _signed(HS256, {**GOOD, **claims})


def _without(name: str) -> bytes:
    return _signed(HS256, {k: v for k, v in GOOD.items() if k != name})


PLAIN = _signed(HS256, GOOD)
TOKENS: dict[str, bytes] = {
    "good": PLAIN,
    "no typ": _signed({"alg": "HS256"}, GOOD),
    "odd typ": _signed({"alg": "HS256", "typ": 7}, GOOD),
    "key id": _signed({**HS256, "kid": "k1"}, GOOD),
    "number as key id": _signed({**HS256, "kid": 1}, GOOD),
    "null as key id": _signed({**HS256, "kid": None}, GOOD),
    "foreign keys": _signed({**HS256, "jku": "https://evil/", "x5u": "https://evil/"}, GOOD),
    "own key": _signed({**HS256, "jwk": {"kty": "oct", "k": "AAAA"}}, GOOD),
    "other claims": _with(role="admin", nested={"a": [1, None]}, jti="x"),
    "audience in a list": _with(aud=["other", "firstcome"]),
    "audience not in the list": _with(aud=["other"]),
    "no audience in the list": _with(aud=[]),
    "number in the audiences": _with(aud=["firstcome", 1]),
    "wrong audience": _with(aud="other"),
    "longer audience": _with(aud="firstcome2"),
    "audience of another kind": _with(aud={"firstcome": 1}),
    "wrong issuer": _with(iss="other"),
    "issuers": _with(iss=["firstcome"]),
    "expired": _with(exp=NOW - 31),
    "expired within leeway": _with(exp=NOW - 20),
    "fraction of a second": _with(exp=NOW + 600.7),
    "expiry far away": _with(exp=10**15),
    "negative expiry": _with(exp=-5),
    "null expiry": _with(exp=None),
    "list as expiry": _with(exp=[NOW + 600]),
    "not yet": _with(nbf=NOW + 300),
    "not yet within leeway": _with(nbf=NOW + 20),
    "long since": _with(nbf=NOW - 300),
    "null as not before": _with(nbf=None),
    "issued later": _with(iat=NOW + 300),
    "issued before": _with(iat=NOW - 300),
    "word as issue time": _with(iat="now"),
    "number as subject": _with(sub=7),
    "null subject": _with(sub=None),
    "number as token id": _with(jti=7),
    **{f"without {name}": _without(name) for name in GOOD},
    "alg none": _segment({"alg": "none"}) + b"." + _segment(GOOD) + b".",
    "alg none, signed": _signed({"alg": "none"}, GOOD),
    "alg None": _signed({"alg": None}, GOOD),
    "alg HS384": _signed({"alg": "HS384"}, GOOD),
    "alg RS256": _signed({"alg": "RS256"}, GOOD),
    "alg hs256": _signed({"alg": "hs256"}, GOOD),
    "no alg": _signed({"typ": "JWT"}, GOOD),
    "list as header": _signed([HS256], GOOD),
    "list as payload": _signed(HS256, [GOOD]),
    "no JSON as payload": _signed(HS256, b"sub=u"),
    "no UTF-8 as payload": _signed(HS256, b'{"sub":"\xff"}'),
    "empty payload": _signed(HS256, b""),
    "empty header": _signed(b"", GOOD),
    "critical extension": _signed({**HS256, "crit": ["exp"], "exp": 1}, GOOD),
    "empty critical": _signed({**HS256, "crit": []}, GOOD),
    "detached": _signed({**HS256, "b64": False, "crit": ["b64"]}, GOOD),
    "other secret": _signed(HS256, GOOD, "another secret of thirty-two bytes"),
    "empty secret": _signed(HS256, GOOD, ""),
    "HS512": jwt.encode(GOOD, SECRET + SECRET, algorithm="HS512").encode(),
    "no signature": PLAIN.rpartition(b".")[0] + b".",
    "two segments": PLAIN.rpartition(b".")[0],
    "four segments": PLAIN + b".x",
    "one segment": b"x",
    "dots": b"..",
    "empty": b"",
    "cut": PLAIN[:-1],
    "longer": PLAIN + b"A",
    "junk in the signature": PLAIN + b"!",
    "space inside": PLAIN.replace(b".", b". ", 1),
    "line break": PLAIN + b"\n",
    "null byte": PLAIN + b"\0",
    "beyond ASCII": PLAIN + b"\xc3\xa9",
    "other spelling of the signature": PLAIN[:-1] + bytes([PLAIN[-1] + 1]),
    "signature of another alphabet": PLAIN.replace(b"-", b"+").replace(b"_", b"/") + b"+",
    "deep payload": _signed(HS256, b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "twice the same claim": _signed(
        HS256, b'{"sub":"a","sub":"b","iss":"firstcome","aud":"firstcome","exp":%d}' % (NOW + 60)
    ),
}
# RFC 7519 wants numbers for times and PyJWT takes strings and booleans as well; padding is not
# part of a token, and PyJWT takes it.
STRICTER: dict[str, bytes] = {
    "text as expiry": _with(exp=str(NOW + 600)),
    "text as not before": _with(nbf="1"),
    "truth as issue time": _with(iat=True),
    "padding": PLAIN + b"=",
    "b64 true": _signed({**HS256, "b64": True}, GOOD),
}


def _by_pyjwt(token: bytes) -> str | type[Exception]:
    try:
        claims = jwt.decode(
            token,
            SECRET,
            algorithms=["HS256"],
            audience="firstcome",
            issuer="firstcome",
            leeway=30,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except jwt.ExpiredSignatureError:
        return jwt.ExpiredSignatureError
    except (jwt.PyJWTError, RecursionError, UnicodeDecodeError):
        return jwt.PyJWTError
    subject: str = claims["sub"]
    return subject


def _by_hand(token: bytes) -> str | type[Exception]:
    said = SharedSecret(SETTINGS, SECRET).verify(token)
    if isinstance(said, Verified):
        return said.user_id
    return jwt.ExpiredSignatureError if said is EXPIRED_TOKEN else jwt.PyJWTError


@pytest.mark.parametrize("case", TOKENS)
def test_verification_by_hand_is_that_of_pyjwt(case: str) -> None:
    assert _by_hand(TOKENS[case]) == _by_pyjwt(TOKENS[case])


def test_table_of_tokens_holds_good_and_bad_ones() -> None:
    good = [case for case, token in TOKENS.items() if isinstance(_by_hand(token), str)]
    assert 10 < len(good) < len(TOKENS) / 2


@pytest.mark.parametrize("case", STRICTER)
def test_verification_by_hand_is_stricter_where_the_standard_is(case: str) -> None:
    assert _by_hand(STRICTER[case]) is jwt.PyJWTError


def test_spoiled_tokens_are_refused_as_by_pyjwt() -> None:
    dice = random.Random(7)
    for _ in range(500):
        token = bytearray(PLAIN)
        for _ in range(dice.randint(1, 3)):
            token[dice.randrange(len(token))] = dice.choice(b"ABCxyz019-_.=+ \n\xff")
        assert _by_hand(bytes(token)) == _by_pyjwt(bytes(token)), bytes(token)


@pytest.mark.parametrize("length", [32, 63, 64, 65, 200])
def test_secret_of_any_length_signs_as_hmac_does(length: int) -> None:
    secret = "s" * length
    tokens = SharedSecret(SETTINGS, secret)
    signed, _, signature = tokens.sign(UserId("u"), 60).encode().rpartition(b".")
    assert signature == _segment(hmac.new(secret.encode(), signed, hashlib.sha256).digest())
    assert isinstance(tokens.verify(signed + b"." + signature), Verified)


@pytest.mark.parametrize(
    ("key", "algorithm", "named"),
    [(RSA, "RS256", "RS256"), (ED, "EdDSA", "EdDSA"), (ED, "EdDSA", "Ed25519")],
)
def test_public_key_verifies_its_own_algorithm_only(key: Any, algorithm: str, named: str) -> None:
    tokens = KeyFile(SETTINGS, _pem(key))
    signed = _segment({"alg": named}) + b"." + _segment(GOOD)
    signature = jwt.get_algorithm_by_name(algorithm).sign(signed, key)
    token = signed + b"." + _segment(signature)
    assert tokens.verify(token) == Verified(UserId("u"), NOW + 630.0)
    assert tokens.verify(_signed({"alg": "HS256"}, GOOD, _pem(key).decode())) is BAD_TOKEN
    assert tokens.verify(_signed({"alg": named}, GOOD)) is BAD_TOKEN
    assert tokens.verify(_segment({"alg": "none"}) + b"." + _segment(GOOD) + b".") is BAD_TOKEN
    assert tokens.verify(token[:-2]) is BAD_TOKEN
    other = "EdDSA" if algorithm == "RS256" else "RS256"
    lying = _segment({"alg": other}) + b"." + _segment(GOOD)
    signature = jwt.get_algorithm_by_name(algorithm).sign(lying, key)
    assert tokens.verify(lying + b"." + _segment(signature)) is BAD_TOKEN
    renamed = _segment({"alg": other}) + b"." + token.partition(b".")[2]
    assert tokens.verify(renamed) is BAD_TOKEN


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "RS512"])
def test_rsa_key_does_not_verify_its_other_algorithms(algorithm: str) -> None:
    token = jwt.encode(GOOD, RSA, algorithm=algorithm).encode()
    assert KeyFile(SETTINGS, _pem(RSA)).verify(token) is BAD_TOKEN


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": NOW - 60}, EXPIRED_TOKEN),
        ({"aud": "other"}, BAD_TOKEN),
        ({"iss": "other"}, BAD_TOKEN),
        ({"nbf": NOW + 300}, BAD_TOKEN),
        ({"sub": None}, BAD_TOKEN),
    ],
)
def test_public_key_tokens_obey_the_same_rules(claims: dict[str, Any], said: Reply) -> None:
    merged = {k: v for k, v in {**GOOD, **claims}.items() if v is not None}
    token = jwt.encode(merged, RSA, algorithm="RS256").encode()
    assert KeyFile(SETTINGS, _pem(RSA)).verify(token) is said


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"nonsense",
        _pem(ec.generate_private_key(ec.SECP256R1())),
        _pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - refused for being short
    ],
)
def test_unusable_key_file_keeps_the_process_from_starting(pem: bytes) -> None:
    with pytest.raises(InvalidSettings, match=r"auth\.key_file"):
        KeyFile(SETTINGS, pem)
