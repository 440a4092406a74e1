"""Changes of the autoscaler are kept in the audit table, where the console finds them."""

from collections.abc import Callable

import pytest

from firstcome import postgres
from firstcome.autoscaling.decision import Decision, Kind
from firstcome.autoscaling.history import History
from firstcome.console.audit import AuditTrail

pytestmark = pytest.mark.integration


def test_history_keeps_changes_newest_first(connect: Callable[[], postgres.Connection]) -> None:
    history, trail = History(connect), AuditTrail(connect)
    assert trail.latest() == []
    added = Decision(Kind.ADD, 1, 4, 5, 9.5, "4 recorders asked for")
    removed = Decision(Kind.REMOVE, 4, 1, 1, None, "1 recorder enough")
    for decision in (added, removed):
        history.note(decision)
    found = trail.latest()
    assert [each.detail for each in found] == [removed._asdict(), added._asdict()]
    assert {each.actor for each in found} == {"autoscaler"}
    assert found[0].at >= found[1].at
