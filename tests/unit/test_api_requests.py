"""What the express lane takes for itself, and how requests about issuances are read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.api.cors import Origins
from firstcome.api.issuances import reply_to_claim, reply_to_status
from firstcome.api.replies import Reply
from firstcome.api.requests import CAMPAIGN_ID_MAX, campaign_id_of, route_of, wait_of, wanted_of
from firstcome.model import (
    IDEMPOTENCY_KEY_PATTERN,
    USER_ID_PATTERN,
    Answer,
    CampaignId,
    Outcome,
    Standing,
    Status,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("url", "route"),
    [
        (b"/v1/campaigns/1/issuances", (b"POST", 1, 0.0)),
        (b"/v1/campaigns/9007199254740992/issuances", (b"POST", 2**53, 0.0)),
        (b"/v1/campaigns/1/issuances/me", (b"GET", 1, 0.0)),
        (b"/v1/campaigns/1/issuances/me?wait=20", (b"GET", 1, 20.0)),
        (b"/v1/campaigns/1/issuances/me?wait=0.5", (b"GET", 1, 0.5)),
        (b"/v1/campaigns/1/issuances/me?wait=30", (b"GET", 1, 30.0)),
        (b"/v1/campaigns/1/issuances/me?wait=30.001", None),
        (b"/v1/campaigns/1/issuances/me?wait=", None),
        (b"/v1/campaigns/1/issuances/me?wait=1&wait=2", None),
        (b"/v1/campaigns/1/issuances/me?Wait=1", None),
        (b"/v1/campaigns/1/issuances/me/", None),
        (b"/v1/campaigns/1/issuances/mee", None),
        (b"/v1/campaigns/1/issuances?", None),
        (b"/v1/campaigns/1/issuances/", None),
        (b"/v1/campaigns/1/issuances#me", None),
        (b"/v1/campaigns/01/issuances", None),
        (b"/v1/campaigns/0/issuances", None),
        (b"/v1/campaigns/+1/issuances", None),
        (b"/v1/campaigns/\xd9\xa1/issuances", None),
        (b"/v1/campaigns//issuances", None),
        (b"/v1/campaigns/1", None),
        (b"//v1/campaigns/1/issuances", None),
        (b"/V1/campaigns/1/issuances", None),
        (b"http://a/v1/campaigns/1/issuances", None),
        (b"", None),
    ],
)
def test_lane_takes_only_plain_addresses(url: bytes, route: object) -> None:
    assert route_of(url, 30.0) == route


@given(st.binary(max_size=30))
def test_campaign_id_is_canonical_or_none(number: bytes) -> None:
    campaign_id = campaign_id_of(number)
    if campaign_id is None:
        assert not number.isdigit() or number[:1] == b"0" or int(number) > CAMPAIGN_ID_MAX
    else:
        assert str(campaign_id).encode() == number


@given(st.binary(max_size=12))
def test_wait_is_within_bounds_or_none(seconds: bytes) -> None:
    wait_seconds = wait_of(seconds, 30.0)
    assert wait_seconds is None or 0 <= wait_seconds <= 30


def test_headers_are_known_in_any_case_and_counted() -> None:
    wanted = wanted_of([(b"AUTHORIZATION", b"a"), (b"X-Other", b"b"), (b"Origin", b"c")])
    assert wanted == {b"authorization": b"a", b"origin": b"c"}
    assert b"" in wanted_of([(b"x-user-id", b"a"), (b"X-User-Id", b"a")])
    assert b"" not in wanted_of([(b"connection", b"a"), (b"connection", b"b")])


@given(st.text(st.characters(max_codepoint=300), max_size=300))
def test_byte_tables_are_the_patterns_of_the_model(text: str) -> None:
    from firstcome.api.auth import _user_id
    from firstcome.api.requests import _attempt_named

    user_id = _user_id(text.encode())
    assert isinstance(user_id, str) == bool(USER_ID_PATTERN.fullmatch(text))
    bare = text.strip(" \t")
    if not bare.startswith('"'):
        known = bool(IDEMPOTENCY_KEY_PATTERN.fullmatch(bare))
        assert (_attempt_named(text.encode()) is not None) == known


def test_patterns_hold_the_lengths_of_the_byte_tables() -> None:
    from firstcome.api import auth, requests

    assert USER_ID_PATTERN.fullmatch("u" * auth._USER_BYTES_MAX)
    assert not USER_ID_PATTERN.fullmatch("u" * (auth._USER_BYTES_MAX + 1))
    assert IDEMPOTENCY_KEY_PATTERN.fullmatch("k" * requests._KEY_BYTES_MAX)
    assert not IDEMPOTENCY_KEY_PATTERN.fullmatch("k" * (requests._KEY_BYTES_MAX + 1))


@given(st.sampled_from(Outcome), st.integers(0, 2**27), st.sampled_from(Status), st.booleans())
def test_every_answer_has_a_well_framed_reply(
    outcome: Outcome, position: int, status: Status, replayed: bool
) -> None:
    reply = reply_to_claim(CampaignId(7), Answer(outcome, position, status, replayed))
    _well_framed(reply)
    assert (reply.status == 202) == (outcome is Outcome.REQUESTED)
    assert (reply.status == 201) == (outcome is Outcome.ISSUED)
    assert ("idempotency-replayed" in reply.headers) == (reply.status < 300 and replayed)


@given(st.sampled_from(Status), st.integers(0, 2**27))
def test_every_standing_has_a_well_framed_reply(status: Status, position: int) -> None:
    reply = reply_to_status(CampaignId(7), Standing(status, position))
    _well_framed(reply)
    assert (reply.status == 404) == (status is Status.NOT_REQUESTED)


def test_replay_has_the_body_of_the_first_answer() -> None:
    first = Answer(Outcome.REQUESTED, 17, Status.REQUESTED)
    again = first._replace(replayed=True, status=Status.ISSUED)
    assert reply_to_claim(CampaignId(1), first).body == reply_to_claim(CampaignId(1), again).body


def test_origins_are_told_only_to_those_they_name() -> None:
    origins = Origins(["https://shop.example"])
    known = dict(origins.headers_for(b"https://shop.example"))
    assert known[b"access-control-allow-origin"] == b"https://shop.example"
    for origin in (None, b"https://evil.example", b"null", b"https://shop.example.evil"):
        assert dict(origins.headers_for(origin)) == {b"vary": b"Origin"}
        assert origins.lines_for(origin) == b"vary: Origin\r\n"
    assert dict(Origins(["*"]).headers_for(b"x"))[b"access-control-allow-origin"] == b"*"


def test_lines_for_origins_do_not_pile_up() -> None:
    origins = Origins(["*"])
    for number in range(100):
        assert b"origin: *\r\n" in origins.lines_for(b"https://%d.example" % number)
    assert len(origins._lines) == 1


def _well_framed(reply: Reply) -> None:
    assert reply.headers["content-length"] == str(len(reply.body))
    assert isinstance(msgspec.json.decode(reply.body), dict)
