"""Coupon codes: every one checks, no wrong one does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.coupons import ALPHABET, CouponCodes
from firstcome.model import POSITION_MAX, CampaignId, Position

pytestmark = pytest.mark.unit

CODES = CouponCodes(b"k" * 32)
CAMPAIGNS = st.integers(1, 2**63 - 1) | st.integers(1, 5000)
POSITIONS = st.integers(1, POSITION_MAX) | st.integers(1, 5000)


@given(CAMPAIGNS, POSITIONS)
def test_code_carries_its_campaign_and_position(campaign_id: int, position: int) -> None:
    code = CODES.code(CampaignId(campaign_id), Position(position))
    assert CODES.check(code) == (campaign_id, position)
    assert {len(group) for group in code.split("-")} == {4}


@given(CAMPAIGNS, POSITIONS)
def test_code_is_read_as_people_write_it(campaign_id: int, position: int) -> None:
    code = CODES.code(CampaignId(campaign_id), Position(position))
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert CODES.check(typed) == (campaign_id, position)


@given(CAMPAIGNS, POSITIONS, st.integers(0, 23), st.sampled_from(ALPHABET))
def test_code_with_one_wrong_character_is_refused(
    campaign_id: int, position: int, index: int, letter: str
) -> None:
    letters = CODES.code(CampaignId(campaign_id), Position(position)).replace("-", "")
    wrong = letters[:index] + letter + letters[index + 1 :]
    assert wrong == letters or CODES.check(wrong) is None


@given(CAMPAIGNS, POSITIONS, st.integers(0, 22))
def test_code_with_two_neighbours_swapped_is_refused(
    campaign_id: int, position: int, index: int
) -> None:
    letters = CODES.code(CampaignId(campaign_id), Position(position)).replace("-", "")
    swapped = letters[:index] + letters[index + 1] + letters[index] + letters[index + 2 :]
    assert swapped == letters or CODES.check(swapped) is None


@given(st.lists(st.sampled_from(ALPHABET), min_size=24, max_size=24), st.booleans())
def test_guessed_code_is_refused_even_with_a_right_check_character(
    letters: list[str], repaired: bool
) -> None:
    guesses = (
        ["".join([*letters[:-1], last]) for last in ALPHABET] if repaired else ["".join(letters)]
    )
    assert all(CODES.check(guess) is None for guess in guesses)


def test_check_character_alone_finds_every_wrong_character_and_every_swap() -> None:
    from firstcome.coupons import _check_digit

    body = [7, 0, 31, 12, 12, 5, 19, 0, 0, 30, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14]
    right = _check_digit(body)
    for index in range(len(body)):
        for digit in set(range(32)) - {body[index]}:
            assert _check_digit([*body[:index], digit, *body[index + 1 :]]) != right
    for index in range(len(body) - 1):
        if body[index] != body[index + 1]:
            swapped = [*body[:index], body[index + 1], body[index], *body[index + 2 :]]
            assert _check_digit(swapped) != right
    assert _check_digit([*body[:-1], right]) != body[-1]


def test_codes_of_another_key_are_refused() -> None:
    other = CouponCodes(b"o" * 32)
    assert CODES.check(other.code(CampaignId(1), Position(1))) is None


def test_codes_of_neighbours_have_nothing_in_common() -> None:
    codes = [CODES.code(CampaignId(1), Position(position)) for position in range(1, 2000)]
    assert len({code[:9] for code in codes}) > 1990


@pytest.mark.parametrize("text", ["", "-", "0000-0000", "é" * 24, "U" * 24, "0" * 24, "0" * 28])
def test_text_that_is_no_code_is_refused(text: str) -> None:
    assert CODES.check(text) is None


@pytest.mark.parametrize(("campaign_id", "position"), [(0, 1), (1, 0), (1, POSITION_MAX + 1)])
def test_code_of_an_impossible_place_is_not_made(campaign_id: int, position: int) -> None:
    with pytest.raises(ValueError, match="no coupon can be"):
        CODES.code(CampaignId(campaign_id), Position(position))


def test_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        CouponCodes(b"short")
