"""Changes of the autoscaler are kept in the audit table."""

from collections.abc import Callable

import pytest

from firstcome import postgres
from firstcome.autoscaling.decision import Decision, Kind
from firstcome.autoscaling.history import History

pytestmark = pytest.mark.integration


def test_history_keeps_changes_newest_first(connect: Callable[[], postgres.Connection]) -> None:
    history = History(connect)
    assert history.latest() == []
    added = Decision(Kind.ADD, 1, 4, 5, 9.5, "4 recorders asked for")
    removed = Decision(Kind.REMOVE, 4, 1, 1, None, "1 recorder enough")
    for decision in (added, removed):
        history.note(decision)
    found = history.latest()
    assert [each.decision for each in found] == [removed, added]
    assert found[0].at >= found[1].at
    assert history.latest(1) == found[:1]
