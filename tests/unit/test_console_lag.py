"""How far the recorders are behind, from offsets alone."""

import pytest

from firstcome.console.lag import Lag, LagWatch, Offsets

pytestmark = pytest.mark.unit


class Log:
    """Two partitions, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ends: Offsets = {0: 0, 1: 0}
        self.recorded: Offsets = {}

    def watch(self) -> LagWatch:
        return LagWatch(lambda: self.ends, lambda: self.recorded, clock=lambda: self.now)


def test_nothing_is_behind_an_empty_log() -> None:
    assert Log().watch().read() == Lag(0, 0.0)


def test_age_counts_from_when_a_record_was_first_seen() -> None:
    log = Log()
    watch = log.watch()
    watch.read()
    log.now, log.ends = 101.0, {0: 5, 1: 0}
    assert watch.read() == Lag(5, 0.0)
    log.now, log.ends = 103.0, {0: 5, 1: 7}
    assert watch.read() == Lag(12, 2.0)
    log.now, log.recorded = 104.0, {0: 5}
    assert watch.read() == Lag(7, 1.0), "what came at 101 is done"
    log.now, log.recorded = 109.0, {0: 5, 1: 7}
    assert watch.read() == Lag(0, 0.0)


def test_looks_that_follow_each_other_leave_one_mark() -> None:
    log = Log()
    watch = log.watch()
    log.ends = {0: 1}
    for _ in range(15):
        log.now += 0.1
        watch.read()
    assert len(watch._marks) == 2
    assert watch.read().seconds == pytest.approx(1.4)
