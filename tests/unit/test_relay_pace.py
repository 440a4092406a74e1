"""How far apart the polling relay's looks begin."""

from firstcome.relay.pace import BUSY_EVENTS_PER_SECOND, Pace

BUSY, CALM = 2 * BUSY_EVENTS_PER_SECOND, BUSY_EVENTS_PER_SECOND // 2


def test_looks_draw_apart_while_much_is_issued_and_together_after() -> None:
    pace = Pace(0.04, 0.4)
    seen = []
    for events_per_second in (CALM, BUSY, BUSY, BUSY, BUSY, BUSY, CALM, 0, 0, 0, 0):
        pace.found(int(events_per_second * pace.seconds), pace.seconds)
        seen.append(round(pace.seconds, 3))
    assert seen == [0.04, 0.08, 0.16, 0.32, 0.4, 0.4, 0.2, 0.1, 0.05, 0.04, 0.04]


def test_a_rate_just_below_busy_is_told_soon_however_far_apart_looks_were() -> None:
    pace = Pace(0.04, 0.4)
    pace.found(100_000, 0.04)
    pace.found(100_000, 0.04)
    for _ in range(5):
        pace.found(int(0.99 * BUSY_EVENTS_PER_SECOND * pace.seconds), pace.seconds)
    assert pace.seconds == 0.04


def test_no_interval_grows_as_well_and_a_longest_below_the_shortest_is_the_shortest() -> None:
    eager = Pace(0.0, 0.4)
    eager.found(1_000_000, 1.0)
    assert eager.seconds == 0.02
    steady = Pace(0.5, 0.4)
    steady.found(1_000_000, 1.0)
    assert steady.seconds == 0.5
