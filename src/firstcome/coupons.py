"""Coupon codes: derived from (campaign, position) with a key; nothing to store, nothing to guess.

A code is 24 characters of Crockford's base 32 (more for campaign numbers beyond 8
million), in groups of four: the campaign and position, hidden under a mask; 65 bits
of a keyed hash, without which nobody can make or change a code; and one check
character that finds any single wrong character and any swap of two neighbours.
"""

import hmac

from firstcome.model import POSITION_MAX, CampaignId, Position

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGIT = {letter: digit for digit, letter in enumerate(ALPHABET)}
# What people read or type instead, as Crockford proposes; groups and case do not matter.
_DIGIT |= {letter.lower(): digit for letter, digit in _DIGIT.items()}
_DIGIT |= {"O": 0, "o": 0, "I": 1, "i": 1, "L": 1, "l": 1}
_IGNORED = str.maketrans("", "", "- ")

GROUP = 4
TAG_DIGITS = 13  # 65 bits
POSITION_BITS = POSITION_MAX.bit_length()
# Digits of campaign and position together. Each step of four is one more group of the code.
_PLACE_DIGITS = (10, 14, 18)
_LENGTHS = {digits + TAG_DIGITS + 1: digits for digits in _PLACE_DIGITS}


class CouponCodes:
    """Makes and checks codes with one key; another key makes other codes, so never change it."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("a key for coupon codes has at least 32 bytes")
        self._key = key

    def code(self, campaign_id: CampaignId, position: Position) -> str:
        """Return the code of an issuance, always the same one."""
        if not (0 < campaign_id < 2**63 and 0 < position <= POSITION_MAX):
            raise ValueError(f"no coupon can be at position {position} of campaign {campaign_id}")
        place = campaign_id << POSITION_BITS | position
        digits = next(count for count in _PLACE_DIGITS if place < 32**count)
        tag = self._tag(place)
        hidden = place ^ self._mask(tag, digits)
        body = _digits_of(hidden, digits) + _digits_of(tag, TAG_DIGITS)
        letters = "".join(ALPHABET[digit] for digit in [*body, _check_digit(body)])
        return "-".join(letters[i : i + GROUP] for i in range(0, len(letters), GROUP))

    def check(self, code: str) -> tuple[CampaignId, Position] | None:
        """Return the (campaign, position) that a code was made for, None if this key made none.

        Says nothing of whether the coupon was issued, cancelled or redeemed.
        """
        letters = code.translate(_IGNORED)
        place_digits = _LENGTHS.get(len(letters))
        if place_digits is None or any(letter not in _DIGIT for letter in letters):
            return None
        *body, check = (_DIGIT[letter] for letter in letters)
        if check != _check_digit(body):
            return None
        tag = _number_of(body[place_digits:])
        place = _number_of(body[:place_digits]) ^ self._mask(tag, place_digits)
        campaign_id, position = place >> POSITION_BITS, place & POSITION_MAX
        if not (0 < campaign_id < 2**63 and position):
            return None
        made = self.code(CampaignId(campaign_id), Position(position)).translate(_IGNORED)
        canonical = "".join(ALPHABET[_DIGIT[letter]] for letter in letters)
        if not hmac.compare_digest(made, canonical):
            return None
        return CampaignId(campaign_id), Position(position)

    def _tag(self, place: int) -> int:
        digest = hmac.digest(self._key, b"tag" + place.to_bytes(12, "big"), "sha256")
        return int.from_bytes(digest, "big") >> (256 - 5 * TAG_DIGITS)

    def _mask(self, tag: int, digits: int) -> int:
        digest = hmac.digest(self._key, b"mask" + tag.to_bytes(9, "big"), "sha256")
        return int.from_bytes(digest, "big") >> (256 - 5 * digits)


def _digits_of(number: int, count: int) -> list[int]:
    return [number >> 5 * index & 31 for index in reversed(range(count))]


def _number_of(digits: list[int]) -> int:
    number = 0
    for digit in digits:
        number = number << 5 | digit
    return number


def _check_digit(digits: list[int]) -> int:
    """Return the sum of digit * a^place over the field of 32 elements, a being primitive.

    The weights are never zero, so a single wrong digit changes the sum; neighbours have
    different weights, so a swap changes it too. The check digit itself weighs 1.
    """
    total = 0
    for digit in digits:
        total = _times_a(total ^ digit)
    return total


def _times_a(element: int) -> int:
    element <<= 1
    return element ^ 0b100101 if element & 32 else element  # x^5 + x^2 + 1
