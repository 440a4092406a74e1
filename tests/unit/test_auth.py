"""Who is asking: the cache of tokens, the gateway's header, keys from an issuer's address."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from firstcome.api import auth, jwks
from firstcome.api.auth import Authenticator
from firstcome.api.jwks import RemoteKeys
from firstcome.api.problems import (
    BAD_TOKEN,
    EXPIRED_TOKEN,
    NO_GATEWAY,
    NO_TOKEN,
    REPLIES,
)
from firstcome.api.replies import Reply
from firstcome.api.tokens import SharedSecret, Verified
from firstcome.bench.tokens import Signer
from firstcome.errors import InvalidSettings
from firstcome.model import UserId
from firstcome.settings import AuthSettings

pytestmark = pytest.mark.unit

SECRET = "a secret of at least thirty-two bytes"
SETTINGS = AuthSettings(secret=SECRET)
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()


def _bearer(user: str = "ann", seconds: int = 60) -> dict[bytes, bytes]:
    token = SharedSecret(SETTINGS, SECRET).sign(UserId(user), seconds)
    return {b"authorization": b"Bearer " + token.encode()}


def test_user_comes_from_the_token() -> None:
    users = Authenticator(SETTINGS)
    assert users.user_of(_bearer(), trusted=False) == "ann"
    assert users.user_of({**_bearer("bob"), b"x-user-id": b"eve"}, trusted=True) == "bob"


def test_forgeries_of_the_fault_harness_let_nobody_in() -> None:
    def asked(line: bytes, settings: AuthSettings) -> UserId | Reply:
        name, _, value = line.removesuffix(b"\r\n").partition(b": ")
        return Authenticator(settings).user_of({name.lower(): value}, trusted=True)

    gateway = AuthSettings(mode="gateway", gateway_networks=["127.0.0.0/8"])
    for settings, count in ((SETTINGS, 4), (gateway, 3)):
        signer = Signer.of(settings)
        assert asked(signer.headers()("ann"), settings) == "ann"
        answers = [asked(forge("ann"), settings) for forge in signer.forgeries()]
        assert len(answers) == count
        assert all(isinstance(each, Reply) and each.status == 401 for each in answers), answers
    assert asked(Signer.of(SETTINGS).forgeries()[2]("ann"), SETTINGS) is EXPIRED_TOKEN


@pytest.mark.parametrize(
    ("authorization", "said"),
    [
        (None, NO_TOKEN),
        (b"", NO_TOKEN),
        (b"Bearer", NO_TOKEN),
        (b"Bearer ", NO_TOKEN),
        (b"Basic eDp5", NO_TOKEN),
        (b"Bearer x.y.z", BAD_TOKEN),
        (b"Bearer \xff\xfe", BAD_TOKEN),
        (b"Bearer " + b"a" * 8193, BAD_TOKEN),
    ],
)
def test_user_is_refused_without_a_good_token(authorization: bytes | None, said: object) -> None:
    wanted = {} if authorization is None else {b"authorization": authorization}
    assert Authenticator(SETTINGS).user_of(wanted, trusted=True) is said


def test_user_id_of_another_form_is_refused_with_its_reason() -> None:
    users = Authenticator(SETTINGS)
    for user in ("", "a b", "u" * 65, "café", "a\0", "a/b"):
        assert users.user_of(_bearer(user), trusted=False) is REPLIES["INVALID_USER_ID"]
    assert users.user_of(_bearer("A.z_9:@-" + "u" * 56), trusted=False)


def test_remembered_token_ends_when_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    users, wanted = Authenticator(SETTINGS), _bearer(seconds=60)
    assert users.user_of(wanted, trusted=False) == "ann"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 89)
    assert users.user_of(wanted, trusted=False) == "ann"
    monkeypatch.setattr(time, "time", lambda: now + 91)
    assert users.user_of(wanted, trusted=False) is EXPIRED_TOKEN


def test_remembered_tokens_are_verified_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_REMEMBERED_MAX", 20)
    users = Authenticator(SETTINGS)
    verified: list[bytes] = []
    real = users._tokens
    assert isinstance(real, SharedSecret)

    class Counting:
        def verify(self, token: bytes) -> object:
            verified.append(token)
            return real.verify(token)

    users._tokens = Counting()  # type: ignore[assignment]
    wanted = [_bearer(f"user-{number}") for number in range(100)]
    for each in wanted:
        users.user_of(each, trusted=False)
        users.user_of(wanted[0], trusted=False)
        assert len(users._young) + len(users._old) <= 20
    # The busy one was never verified again; a new one is.
    assert len(verified) == 100
    users.user_of(wanted[5], trusted=False)
    assert len(verified) == 101


def test_refused_token_is_not_remembered() -> None:
    users = Authenticator(SETTINGS)
    for _ in range(3):
        assert users.user_of(_bearer(seconds=-60), trusted=False) is EXPIRED_TOKEN
    assert not users._young


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("fe80::1%eth0", False),
        ("11.1.2.3", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_gateway_is_known_by_its_address(peer: str | None, trusted: bool) -> None:
    settings = AuthSettings(mode="gateway", gateway_networks=["10.0.0.0/8", "fd00::/8"])
    users = Authenticator(settings)
    assert users.trusts(peer) is trusted
    said = users.user_of({b"x-user-id": b"ann", **_bearer("eve")}, users.trusts(peer))
    assert said == "ann" if trusted else said is NO_GATEWAY
    assert not Authenticator(SETTINGS).trusts(peer)


def test_mode_jwt_needs_a_key() -> None:
    with pytest.raises(InvalidSettings, match="FIRSTCOME_AUTH__SECRET"):
        Authenticator(AuthSettings())
    with pytest.raises(InvalidSettings, match="cannot be read"):
        Authenticator(AuthSettings(key_file=Path("/nonexistent.pem")))
    with pytest.raises(InvalidSettings, match="https://"):
        Authenticator(AuthSettings(jwks_url="file:///etc/passwd"))


class Issuer:
    """An issuer's server; `keys` is what it publishes, None makes it fail."""

    def __init__(self) -> None:
        self.keys: object = None
        self.asked = 0
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(200 if issuer.keys is not None else 500)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": issuer.keys}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.server.shutdown()
    running.server.server_close()


def _published(key: Any, key_id: str, **members: object) -> dict[str, Any]:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "EdDSA"
    entry = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**entry, "kid": key_id, **members}


def _token(key: Any, key_id: str | None) -> bytes:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "EdDSA"
    claims = {"sub": "ann", "iss": "firstcome", "aud": "firstcome", "exp": int(time.time()) + 60}
    headers = {} if key_id is None else {"kid": key_id}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers).encode()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def _settled(keys: RemoteKeys) -> None:
    while keys._fetching is not None:
        await keys._fetching


async def test_keys_of_an_issuer_verify_its_tokens(issuer: Issuer) -> None:
    issuer.keys = [_published(RSA, "r"), _published(ED, "e")]
    keys = RemoteKeys(SETTINGS, issuer.url)
    await keys.start()
    assert isinstance(keys.verify(_token(RSA, "r")), Verified)
    assert isinstance(keys.verify(_token(ED, "e")), Verified)
    assert keys.verify(_token(RSA, "e")) is BAD_TOKEN
    assert keys.verify(_token(RSA, None)) is BAD_TOKEN
    assert keys.fetches == issuer.asked == 1


async def test_flood_of_unknown_key_ids_fetches_once_per_window(issuer: Issuer) -> None:
    issuer.keys = [_published(ED, "e")]
    clock = Clock()
    keys = RemoteKeys(SETTINGS, issuer.url, clock)
    await keys.start()
    forged = [_token(ED, f"unknown-{number}") for number in range(50)]
    for window in range(1, 4):
        clock.now += jwks.FETCH_WINDOW_SECONDS
        assert keys.verify(forged[0]) is REPLIES["TEMPORARILY_UNAVAILABLE"]
        await _settled(keys)
        for _ in range(20):
            assert all(keys.verify(token) is BAD_TOKEN for token in forged)
        assert issuer.asked == 1 + window


async def test_key_ids_of_an_odd_shape_fetch_nothing(issuer: Issuer) -> None:
    issuer.keys = [_published(ED, "e")]
    clock = Clock()
    keys = RemoteKeys(SETTINGS, issuer.url, clock)
    await keys.start()
    clock.now += 1000 * jwks.FETCH_WINDOW_SECONDS
    keys._fetched_at = clock.now
    for key_id in ("", "k" * 129, "a b", "é", "a\n", "a\0"):
        assert keys.verify(_token(ED, key_id)) is BAD_TOKEN
    assert issuer.asked == 1


async def test_new_key_of_the_issuer_is_learnt(issuer: Issuer) -> None:
    issuer.keys = [_published(ED, "old")]
    clock = Clock()
    keys = RemoteKeys(SETTINGS, issuer.url, clock)
    await keys.start()
    issuer.keys = [_published(ED, "old"), _published(RSA, "new")]
    assert keys.verify(_token(RSA, "new")) is BAD_TOKEN
    clock.now += jwks.FETCH_WINDOW_SECONDS
    assert keys.verify(_token(RSA, "new")) is REPLIES["TEMPORARILY_UNAVAILABLE"]
    assert isinstance(keys.verify(_token(ED, "old")), Verified)
    await _settled(keys)
    assert isinstance(keys.verify(_token(RSA, "new")), Verified)


@pytest.mark.parametrize("failure", [None, [], [{"kty": "oct", "k": "AAAA", "kid": "e"}]])
async def test_failed_fetch_keeps_the_keys(issuer: Issuer, failure: object) -> None:
    issuer.keys = [_published(ED, "e")]
    clock = Clock()
    keys = RemoteKeys(SETTINGS, issuer.url, clock)
    await keys.start()
    issuer.keys = failure
    clock.now += jwks.REFRESH_SECONDS + 1
    for _ in range(10):
        assert isinstance(keys.verify(_token(ED, "e")), Verified)
        await _settled(keys)
    assert issuer.asked == 2


async def test_withdrawn_key_is_forgotten_at_the_next_refresh(issuer: Issuer) -> None:
    issuer.keys = [_published(ED, "e"), _published(RSA, "r")]
    clock = Clock()
    keys = RemoteKeys(SETTINGS, issuer.url, clock)
    await keys.start()
    issuer.keys = [_published(RSA, "r")]
    clock.now += jwks.REFRESH_SECONDS + 1
    keys.verify(_token(RSA, "r"))
    await _settled(keys)
    assert keys.verify(_token(ED, "e")) is BAD_TOKEN


async def test_issuer_that_is_away_at_the_start_is_asked_again(issuer: Issuer) -> None:
    clock = Clock()
    keys = RemoteKeys(SETTINGS, issuer.url, clock)
    await keys.start()
    assert keys.verify(_token(ED, "e")) is REPLIES["TEMPORARILY_UNAVAILABLE"]
    await _settled(keys)
    assert issuer.asked == 1
    issuer.keys = [_published(ED, "e")]
    clock.now += jwks.FIRST_FETCH_WINDOW_SECONDS
    keys.verify(_token(ED, "e"))
    await _settled(keys)
    assert isinstance(keys.verify(_token(ED, "e")), Verified)


@pytest.mark.parametrize(
    "members",
    [{"use": "enc"}, {"alg": "RS512"}, {"kid": "a b"}, {"kid": 7}, {"n": "AQAB"}, {"d": "AQAB"}],
)
async def test_unusable_keys_of_an_issuer_are_left_out(
    issuer: Issuer, members: dict[str, object]
) -> None:
    issuer.keys = ["x", 7, {}, _published(RSA, "r", **members), _published(ED, "e")]
    keys = RemoteKeys(SETTINGS, issuer.url)
    await keys.start()
    assert list(keys._keys) == ["e"]
