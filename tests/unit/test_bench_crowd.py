"""Who asks when: the crowd, its schedule and its tokens."""

import base64
import json
from itertools import pairwise

import jwt
import pytest

from firstcome.bench.arrivals import Arrivals, arrivals_of
from firstcome.bench.crowd import KEYED, TWICE, Crowd, user_id, user_of
from firstcome.bench.plan import Plan, check_loopback, contents
from firstcome.bench.tokens import Signer
from firstcome.errors import Refused
from firstcome.model import IDEMPOTENCY_KEY_PATTERN, USER_ID_PATTERN
from firstcome.settings import AuthSettings

pytestmark = pytest.mark.unit

SECRET = "a secret of more than thirty-two bytes"


def test_crowd_is_the_same_for_one_seed_and_another_for_another() -> None:
    crowd = Crowd(users=500, campaigns=3, twice=0.2, keyed=0.5, seed=7)
    assert crowd.order() == Crowd(users=500, campaigns=3, twice=0.2, keyed=0.5, seed=7).order()
    assert crowd.order() != Crowd(users=500, campaigns=3, twice=0.2, keyed=0.5, seed=8).order()


def test_crowd_sends_everybody_once_and_its_share_twice_side_by_side() -> None:
    crowd = Crowd(users=500, campaigns=3, twice=0.2, keyed=0.5, seed=7)
    order, traits = crowd.order(), crowd.traits()
    assert len(order) == crowd.requests == 600
    assert set(order) == set(range(500))
    assert sum(trait & TWICE > 0 for trait in traits) == 100
    assert sum(trait & KEYED > 0 for trait in traits) == 250
    repeats = [user for before, user in pairwise(order) if before == user]
    assert len(repeats) == 100
    assert all(traits[user] & TWICE for user in repeats)


def test_crowd_is_spread_evenly_over_its_campaigns() -> None:
    crowd = Crowd(users=11, campaigns=4)
    assert [crowd.users_of(campaign) for campaign in range(4)] == [3, 3, 3, 2]
    assert [crowd.campaign_of(user) for user in range(5)] == [0, 1, 2, 3, 0]


def test_users_have_names_that_the_product_takes() -> None:
    assert USER_ID_PATTERN.fullmatch(user_id(4_999_999))
    assert user_of(user_id(4_999_999)) == 4_999_999
    assert [user_of(name) for name in ("", "u1", "x00000001", "u0000000a")] == [None] * 4


def test_arrivals_at_a_constant_rate_are_evenly_spaced() -> None:
    times = Arrivals("rate", 100.0, 100.0).times(Crowd(users=300, campaigns=1).order())
    assert list(times) == pytest.approx([index / 100 for index in range(300)])


def test_arrivals_of_a_ramp_grow_from_one_rate_to_the_other() -> None:
    ramp = Arrivals("ramp", 0.0, 1000.0)
    times = ramp.times(Crowd(users=5000, campaigns=1).order())
    assert ramp.seconds(5000) == 10
    assert ramp.requests(10) == 5000
    assert sum(time < 5 for time in times) == pytest.approx(1250, abs=2)
    assert times[-1] == pytest.approx(10, abs=0.01)


def test_arrivals_put_both_requests_of_a_user_at_one_instant() -> None:
    order = Crowd(users=100, campaigns=1, twice=1.0).order()
    times = Arrivals("rate", 100.0, 100.0).times(order)
    assert all(times[index] == times[index + 1] for index in range(0, 200, 2))
    assert times[-1] == pytest.approx(1.98)
    assert set(Arrivals("burst").times(order)) == {0.0}


def test_command_line_names_one_shape() -> None:
    assert arrivals_of(None, None, burst=False) == Arrivals("rate", 10_000, 10_000)
    assert arrivals_of(None, "10:200", burst=False) == Arrivals("ramp", 10, 200)
    assert arrivals_of(None, None, burst=True) == Arrivals("burst")


@pytest.mark.parametrize(
    ("rate", "ramp", "burst"),
    [(10.0, "1:2", False), (10.0, None, True), (None, "fast", False), (-1.0, None, False)],
)
def test_command_line_refuses_a_shape_that_is_none(
    rate: float | None, ramp: str | None, burst: bool
) -> None:
    with pytest.raises(ValueError, match=r"--ramp|rate"):
        arrivals_of(rate, ramp, burst=burst)


def test_signer_makes_tokens_that_a_jwt_library_verifies() -> None:
    signer = Signer.of(AuthSettings(secret=SECRET, issuer="shop", audience="drops"))  # type: ignore[arg-type]
    header = signer.headers()("ann").decode()
    token = header.removeprefix("Authorization: Bearer ").strip()
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], issuer="shop", audience="drops")
    assert claims["sub"] == "ann"
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["alg"] == "HS256"


def test_signer_names_the_user_as_the_gateway_does() -> None:
    auth = AuthSettings(mode="gateway", gateway_networks=["127.0.0.1/32"])
    assert Signer.of(auth).headers()("ann") == b"X-User-Id: ann\r\n"


def test_signer_refuses_when_the_key_is_not_ours() -> None:
    with pytest.raises(Refused, match="nothing was sent"):
        Signer.of(AuthSettings(jwks_url="https://issuer.example/keys"))


def test_requests_of_one_user_are_the_same_bytes_with_one_key() -> None:
    crowd = Crowd(users=20, campaigns=2, twice=0.5, keyed=0.5, seed=3)
    plan = Plan("127.0.0.1", 80, [8, 9], crowd, Arrivals("burst"), Signer(), "")
    order, traits = crowd.order(), crowd.traits()
    by_user: dict[int, set[bytes]] = {}
    for user, content in zip(order, contents(plan, order), strict=True):
        by_user.setdefault(user, set()).add(content)
    for user, sent in by_user.items():
        (content,) = sent
        lines = content.decode().split("\r\n")
        assert lines[0] == f"POST /v1/campaigns/{8 + user % 2}/issuances HTTP/1.1"
        assert f"X-User-Id: {user_id(user)}" in lines
        keys = [line.partition(": ")[2] for line in lines if line.startswith("Idempotency-Key")]
        assert len(keys) == bool(traits[user] & KEYED)
        assert all(IDEMPOTENCY_KEY_PATTERN.fullmatch(key) for key in keys)


def test_load_asks_this_machine_only() -> None:
    assert [check_loopback(host) for host in ("127.0.0.1", "localhost", "0.0.0.0", "::1")] == [
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.1",
        "::1",
    ]
    for host in ("10.0.0.1", "example.com", "192.168.1.4"):
        with pytest.raises(Refused, match="loopback"):
            check_loopback(host)
