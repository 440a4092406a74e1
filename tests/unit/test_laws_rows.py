"""Flat arrays of positions: how far they reach and what they say at their ends."""

import pytest

from firstcome.laws.decided import positions_of
from firstcome.laws.places import UNPACKED
from firstcome.laws.rows import CampaignFacts, CampaignRows
from firstcome.model import Engine

pytestmark = pytest.mark.unit


def rows_of(position_limit: int) -> CampaignRows:
    """Return the arrays of a campaign that nobody has asked yet."""
    return CampaignRows(
        CampaignFacts(1, Engine.KAFKA, "OPEN", position_limit, position_limit, 0, 1, 1, None, None),
        {},
    )


def test_arrays_of_a_large_stock_cost_nothing_before_anybody_asks() -> None:
    assert rows_of(100_000_000).size == 1


def test_arrays_grow_to_a_position_and_never_beyond_the_limit() -> None:
    rows = rows_of(10)
    rows.grow(4)
    assert (rows.size, len(rows.statuses), len(rows.marks)) == (5, 5, 5)
    rows.grow(3)
    rows.grow(99)
    assert (rows.size, len(rows.under_way), len(rows.recent)) == (11, 11, 11)


def test_arrays_say_nothing_of_positions_beyond_them() -> None:
    rows = rows_of(10)
    assert (rows.status_at(7), rows.mark_at(7), rows.status_at(-1)) == (0, 0, 0)
    assert rows.waits(7, "ann") is False
    assert rows.row_last() == 0


def test_last_row_is_found_behind_holes() -> None:
    rows = rows_of(10)
    rows.grow(8)
    rows.statuses[2] = rows.statuses[6] = 3
    assert rows.row_last() == 6
    assert positions_of(rows.statuses, 3) == [2, 6]


def test_settled_bits_unpack_with_the_first_position_in_the_highest_bits() -> None:
    assert UNPACKED[0b01_10_11_00] == bytes((1, 2, 3, 0))
