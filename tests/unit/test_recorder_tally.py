"""What a recorder tells of its transactions."""

import time

import pytest

from firstcome.eventlog.events import IssuanceRequested
from firstcome.issuance.batch import Batch
from firstcome.issuance.tally import Tally
from firstcome.metrics import catalogue
from firstcome.model import Engine

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("issued", "timed"), [(2, 2), (1, 0), (0, 0)])
def test_only_what_was_issued_at_the_first_try_is_timed(issued: int, timed: int) -> None:
    tally = Tally(Engine.QUEUE)
    waits = catalogue.ISSUED_AFTER.of(Engine.QUEUE)
    before = waits.count
    batch = Batch(IssuanceRequested(1, 1, 1, ["ann", "bob"], [], time.time()))
    with tally.transaction([batch]) as recorded:
        recorded.issued, recorded.replayed = issued, 2 - issued
    assert waits.count - before == timed


def test_a_transaction_that_failed_is_not_counted() -> None:
    tally = Tally(Engine.QUEUE)
    claims = catalogue.TRANSACTION_CLAIMS.of(Engine.QUEUE)
    before = claims.count
    batch = Batch(IssuanceRequested(1, 1, 1, ["ann"], [], time.time()))
    with pytest.raises(OSError, match="broke"), tally.transaction([batch]):
        raise OSError("broke")
    assert claims.count == before
