"""What was told before a stream began is known by campaign and position, and read once."""

from datetime import UTC, datetime

import pytest

from firstcome.relay.outbox import OutboxRow, Range
from firstcome.relay.pause import Pause
from firstcome.relay.told import Told

pytestmark = pytest.mark.unit


def told(*ranges: tuple[int, int], asked: list[int] | None = None) -> Told:
    """Return what was told of campaign 7."""

    def load(campaign_id: int) -> list[Range]:
        if asked is not None:
            asked.append(campaign_id)
        return [Range(7, *each) for each in ranges] if campaign_id == 7 else []

    return Told(load, end=0)


@pytest.mark.parametrize(
    ("position", "is_told"),
    [(0, False), (1, True), (4, True), (5, False), (9, False), (10, True), (11, False)],
)
def test_a_position_is_told_within_a_range(position: int, is_told: bool) -> None:
    assert told((1, 5), (10, 11)).has(7, position) is is_told


def test_another_campaign_was_not_told() -> None:
    assert not told((1, 5)).has(8, 1)


def test_a_row_is_done_with_when_all_of_it_was_told() -> None:
    def row(*ranges: tuple[int, int]) -> OutboxRow:
        return OutboxRow(1, [Range(7, *each) for each in ranges], datetime.now(UTC))

    known = told((1, 5), (10, 20))
    assert known.has_all(row((1, 5), (12, 15)))
    assert not known.has_all(row((1, 6)))
    assert not known.has_all(row((1, 2), (5, 6)))


def test_a_campaign_is_read_once() -> None:
    asked: list[int] = []
    known = told((1, 5), asked=asked)
    assert [known.has(7, 1), known.has(7, 9), known.has(8, 1), known.has(8, 2)] == [
        *(True, False, False, False)
    ]
    assert asked == [7, 8]


def test_pauses_grow_to_their_limit_and_begin_anew() -> None:
    pause = Pause(0.5)
    assert [pause.longer() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    pause.over()
    assert pause.longer() == 0.1
