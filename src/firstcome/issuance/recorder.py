"""The recorder: admitted claims become rows, and the log's promise becomes the database's.

Used by the recorder process, the sweeper and the rebuild alike, so that a claim
means the same whichever way it arrives. Recording again changes nothing. One
call is one transaction, unless the database refuses a claim: then the batch is
bisected to that claim, which is quarantined while its neighbours are issued.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from firstcome import failpoints, postgres
from firstcome.errors import BadRecord, DatabaseUnavailable, RecordingStopped, RowExists
from firstcome.eventlog.consumer import Origin
from firstcome.issuance import quarantine
from firstcome.issuance.batch import Batch, claims_in, halves
from firstcome.issuance.quarantine import DeadLetter, Reason
from firstcome.issuance.transaction import Recorded, Transaction
from firstcome.settings import RecorderSettings

# The pause before the second try of a refused claim; doubled for each further one.
RETRY_PAUSE_SECONDS = 0.01
OUTBOX = "firstcome_outbox"  # the channel on which the relay listens


class _Refusal(NamedTuple):
    """A batch of one claim, why the database refused it, and how often it was tried alone."""

    batch: Batch
    error: BadRecord
    tries: int = 1

    @property
    def may_have_a_row(self) -> bool:
        return self.error.reason == Reason.REJECTED


class Recorder:
    """Records batches through one session, reopened when it is lost. For one thread."""

    def __init__(
        self,
        connect: Callable[[], postgres.Connection],
        settings: RecorderSettings,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect = connect
        self._settings = settings
        self._pause = pause
        self._connection: postgres.Connection | None = None
        self._caller = postgres.Caller(OUTBOX)

    def record(self, batches: Sequence[Batch]) -> Recorded:
        """Decide every claim, and return what became of them.

        Idempotent. Raises DatabaseUnavailable when it is not known to be done: call
        again with the same batches. Raises RecordingStopped when so many claims are
        refused that the fault is probably ours: sound claims may have been recorded,
        nothing was quarantined, and calling again later is safe.
        """
        if not batches:
            return Recorded()
        try:
            return self._transaction(batches)
        except BadRecord as error:
            return self._bisected(batches, error)

    def set_aside(self, origin: Origin, payload: bytes, error: BadRecord) -> None:
        """Make a dead letter of a record that cannot be read. Idempotent; raises as `record`."""
        letter = DeadLetter(None, origin, Reason(error.reason), str(error), payload)
        with self._session() as connection:
            quarantine.write(connection, letter)

    def close(self) -> None:
        """Close the session; the next call would open another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transaction(self, batches: Sequence[Batch]) -> Recorded:
        try:
            return self._transaction_of(batches, all_new=True)
        except RowExists:
            return self._transaction_of(batches, all_new=False)

    def _transaction_of(self, batches: Sequence[Batch], *, all_new: bool) -> Recorded:
        with self._session() as connection:
            recorded = Transaction(connection, all_new=all_new).record(batches)
        failpoints.hit("after_commit", lost=DatabaseUnavailable("the commit's reply was lost"))
        if recorded.issued:
            # What was committed stays so whatever becomes of this: the relay looks by itself, too.
            with suppress(DatabaseUnavailable):
                self._caller.call(connection)
        return recorded

    def _bisected(self, batches: Sequence[Batch], error: BadRecord) -> Recorded:
        claims = claims_in(batches)
        stop_at = max(self._settings.bad_claims_min, int(self._settings.bad_share_max * claims) + 1)
        recorded, refusals = Recorded(), list[_Refusal]()
        self._salvage(batches, error, recorded, refusals, stop_at)
        refusals = self._tried_again(refusals, recorded)
        for batch, refused, tries in refusals:
            letter = DeadLetter(None, None, Reason(refused.reason), str(refused), attempts=tries)
            with self._session() as connection:
                recorded.merge(Transaction(connection).quarantine(batch, letter))
        return recorded

    def _salvage(
        self,
        batches: Sequence[Batch],
        error: BadRecord,
        recorded: Recorded,
        refusals: list[_Refusal],
        stop_at: int,
    ) -> None:
        """Record both halves of a refused batch, down to the claims that are refused alone."""
        if claims_in(batches) == 1:
            with self._session() as connection:
                known = Transaction(connection).recall(batches[0])
            if known is not None:
                recorded.merge(known)
                return
            refusals.append(_Refusal(batches[0], error))
            if sum(refusal.may_have_a_row for refusal in refusals) >= stop_at:
                raise RecordingStopped(
                    f"{stop_at} claims of one batch were refused by the database ({error}); the "
                    "fault is probably ours, so nothing was quarantined and the batch is kept: "
                    "look at the schema and the newest deployment, it is tried again by itself"
                ) from error
            return
        for half in halves(batches):
            try:
                recorded.merge(self._transaction(half))
            except BadRecord as refused:
                self._salvage(half, refused, recorded, refusals, stop_at)

    def _tried_again(self, refusals: list[_Refusal], recorded: Recorded) -> list[_Refusal]:
        """Give claims that could have a row their other tries; return those still refused."""
        for tries in range(1, self._settings.attempts_max):
            if not any(refusal.may_have_a_row for refusal in refusals):
                break
            self._pause(RETRY_PAUSE_SECONDS * 2 ** (tries - 1))
            still: list[_Refusal] = []
            for refusal in refusals:
                try:
                    if refusal.may_have_a_row:
                        recorded.merge(self._transaction([refusal.batch]))
                    else:
                        still.append(refusal)
                except BadRecord as error:
                    still.append(_Refusal(refusal.batch, error, tries + 1))
            refusals = still
        return refusals

    @contextmanager
    def _session(self) -> Iterator[postgres.Connection]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            self._connection.autocommit = True  # outside of the transactions that follow
        with postgres.transaction(self._connection) as connection:
            yield connection
