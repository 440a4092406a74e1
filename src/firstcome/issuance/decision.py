"""What becomes of one dead letter: redriven or discarded, within one open transaction.

Between an operator and the rows. Conditional at every step: a row changes only while
it is UNDER_REVIEW, a letter only while it is QUARANTINED, and limit, outbox, version,
letter and audit change in the transaction that changed the row. A claim without a row
is recorded as the recorder would, if the gate really gave its user the place.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from firstcome import failpoints, postgres
from firstcome.errors import BadRecord, DatabaseUnavailable
from firstcome.issuance.batch import Batch
from firstcome.issuance.cancellation import Cancellation, Reason, cancel
from firstcome.issuance.letter import Letter, State
from firstcome.issuance.transaction import Recorded, Transaction
from firstcome.model import CampaignId, Claim, Position, Status

_QUERIES = postgres.queries("dead_letters")
_ISSUANCE = postgres.queries("issuance")

# Of claims of one campaign that have no row: does the gate hold every place for its user?
Holds = Callable[[Sequence[Claim]], bool]


class Outcome(StrEnum):
    """What a decision came to; docs/dead-letters.md says what each one means."""

    # It stands as asked.
    ISSUED = "ISSUED"  # the claim has its coupon
    DUPLICATE = "DUPLICATE"  # its user holds another position: this one was given up
    DISCARDED = "DISCARDED"  # the unit is back in the stock
    CLOSED = "CLOSED"  # discarded; no unit had been taken
    ALREADY_DECIDED = "ALREADY_DECIDED"  # in the same way, before; nothing changed
    # It does not; the letter is as it was.
    DECIDED_OTHERWISE = "DECIDED_OTHERWISE"
    NOT_FOUND = "NOT_FOUND"
    ISSUED_ALREADY = "ISSUED_ALREADY"  # nothing to discard
    NOT_HELD = "NOT_HELD"  # the gate never gave that place to this user
    FENCED = "FENCED"  # its epoch ended before it
    CANCELLED = "CANCELLED"  # its position was cancelled meanwhile
    # As the reasons of dead letters.
    UNDECODABLE = "UNDECODABLE"
    UNKNOWN_CAMPAIGN = "UNKNOWN_CAMPAIGN"
    UNKNOWN_EPOCH = "UNKNOWN_EPOCH"
    IMPOSSIBLE_USER = "IMPOSSIBLE_USER"
    BEYOND_LIMIT = "BEYOND_LIMIT"
    POSITION_TAKEN = "POSITION_TAKEN"
    REJECTED = "REJECTED"


STANDS = frozenset(list(Outcome)[:5])


class Decision(NamedTuple):
    """What became of one letter; `version`: of the campaign, where its gate has to follow."""

    dead_letter_id: int
    outcome: Outcome
    detail: str
    campaign_id: CampaignId | None = None
    version: int | None = None

    @property
    def stands(self) -> bool:
        """Whether the letter is now as the operator wanted it."""
        return self.outcome in STANDS


class _Impossible(Exception):
    """Why a claim cannot be recorded; everything done for it is rolled back."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome


class Deciding:
    """One letter, locked and QUARANTINED, within the caller's transaction. Used once."""

    def __init__(
        self, connection: postgres.Connection, letter: Letter, actor: str, holds: Holds
    ) -> None:
        self._connection = connection
        self._letter = letter
        self._actor = actor
        self._holds = holds

    def redrive(self) -> Decision:
        """Issue the claim after all, or say why not. Raises Unavailable."""
        try:
            with postgres.transaction(self._connection):
                if self._status() is Status.UNDER_REVIEW:
                    decision = self._issued()
                else:
                    decision = self._recorded()
        except BadRecord as error:
            decision = self._decided(Outcome(error.reason), str(error))
        except _Impossible as error:
            decision = self._decided(error.outcome, str(error))
        if decision.stands:
            self._close(State.REDRIVEN, "redrive", decision)
        else:
            self._connection.execute(_QUERIES["tried"], self._claim_parameters())
        failpoints.hit("before_redrive", lost=DatabaseUnavailable("the session broke"))
        return decision

    def discard(self) -> Decision:
        """Give the unit back, if one was taken. Raises Unavailable."""
        status = self._status()
        if status is Status.ISSUED:
            said = "the claim has its coupon, nothing can be discarded; a redrive closes the letter"
            return self._decided(Outcome.ISSUED_ALREADY, said)
        if status is Status.UNDER_REVIEW:
            (version,) = self._one("discard")
            said = f"position {self._letter.position} is cancelled, its unit is in the stock again"
            decision = self._decided(Outcome.DISCARDED, said, version)
        else:
            decision = self._given_up()
        self._close(State.DISCARDED, "discard", decision)
        failpoints.hit("before_discard", lost=DatabaseUnavailable("the session broke"))
        return decision

    def _status(self) -> Status | None:
        """Return the status of the claim's own row; None: it has none."""
        if self._letter.campaign_id is None:
            return None
        row = self._row_at(self._letter.position or 0)
        return Status(row[1]) if row and row[0] == self._letter.user_id else None

    def _row_at(self, position: int) -> tuple[str | None, str] | None:
        found = self._connection.execute(
            _ISSUANCE["rows_at"],
            {"campaign_id": self._letter.campaign_id, "positions": f"{{{position}}}"},
        ).fetchone()
        return (found[1], found[2]) if found else None

    def _issued(self) -> Decision:
        (version,) = self._one("issue")
        said = f"position {self._letter.position} is ISSUED"
        return self._decided(Outcome.ISSUED, said, version)

    def _recorded(self) -> Decision:
        """Record the letter's claims as the recorder does. Raises BadRecord, _Impossible."""
        batch = self._letter.batch()
        self._check_places(batch)
        transaction = Transaction(self._connection)
        recorded = transaction.record([batch])
        positions = self._positions_of(batch, Status.ISSUED)
        if not (positions or recorded.cancelled):
            raise self._why_not(batch, recorded, transaction)
        if not positions:
            said = "the user holds another position, this one was given up"
            return self._decided(Outcome.DUPLICATE, said, self._numbers(batch)[2])
        parameters = {"campaign_id": batch.event.campaign_id, "positions": positions}
        (version,) = self._connection.execute(_QUERIES["stamp"], parameters).fetchone() or (None,)
        counts = (
            f"{recorded.issued} issued, {recorded.replayed} were there already, "
            f"{recorded.cancelled} given up, {recorded.dead_lettered} set aside again"
        )
        decision = self._decided(Outcome.ISSUED, counts, version)
        return decision._replace(campaign_id=CampaignId(batch.event.campaign_id))

    def _check_places(self, batch: Batch) -> None:
        """Keep out a record that no gate has made: it would take somebody else's place."""
        parameters = {"campaigns": f"{{{batch.event.campaign_id}}}"}
        # From here on no rebuild begins another epoch.
        locked = self._connection.execute(_ISSUANCE["lock_campaigns"], parameters).fetchone()
        if locked is None or locked[1] != batch.event.epoch:
            return
        recorded = {
            position
            for position, _, _ in self._connection.execute(
                _ISSUANCE["rows_at"],
                {
                    "campaign_id": batch.event.campaign_id,
                    "positions": list(range(batch.event.first_position, batch.last_position + 1)),
                },
            )
        }
        open_ = [claim for claim in batch.claims() if claim.position not in recorded]
        if open_ and not self._holds(open_):
            raise _Impossible(
                Outcome.NOT_HELD,
                "the gate never gave this place to this user: recording it would take the place "
                "from whoever comes next, so only a discard is possible",
            )

    def _positions_of(self, batch: Batch, wanted: Status) -> list[int]:
        claims = {claim.position: claim.user_id for claim in batch.claims()}
        rows = self._connection.execute(
            _ISSUANCE["rows_at"],
            {"campaign_id": batch.event.campaign_id, "positions": list(claims)},
        )
        return [
            position
            for position, user_id, status in rows
            if status == wanted and claims[Position(position)] == user_id
        ]

    def _why_not(self, batch: Batch, recorded: Recorded, transaction: Transaction) -> _Impossible:
        if recorded.fenced:
            said = "its epoch ended before this position, and a later one gives it to others"
            return _Impossible(Outcome.FENCED, said)
        if transaction.letters:
            again = transaction.letters[0]
            return _Impossible(Outcome(again.reason), again.detail)
        if self._positions_of(batch, Status.UNDER_REVIEW):
            said = "the claim is under review by a dead letter of its own: redrive that one"
            return _Impossible(Outcome.REJECTED, said)
        return _Impossible(
            Outcome.CANCELLED, "the position was cancelled, its unit is in the stock"
        )

    def _given_up(self) -> Decision:
        """Cancel by insert where the gate still keeps the place for its user."""
        nothing = self._decided(Outcome.CLOSED, "no unit had been taken")
        letter = self._letter
        if letter.campaign_id is None or letter.user_id is None:
            return nothing
        batch = letter.batch()
        parameters = {"campaigns": f"{{{letter.campaign_id}}}"}
        self._connection.execute(_ISSUANCE["lock_campaigns"], parameters)
        epoch, limit, _ = self._numbers(batch)
        position = batch.event.first_position
        if epoch != letter.epoch or position > limit or self._row_at(position):
            return nothing
        if not self._holds(list(batch.claims())):
            return nothing
        cancellation = Cancellation(
            letter.campaign_id, epoch, [position], batch.event.users, Reason.DISCARDED
        )
        cancel(self._connection, cancellation)
        said = f"position {position} was given up, its unit is in the stock again"
        return self._decided(Outcome.DISCARDED, said, self._numbers(batch)[2])

    def _numbers(self, batch: Batch) -> tuple[int, int, int]:
        """Return the campaign's epoch (0: there is none), limit and version."""
        parameters = {"campaign_id": batch.event.campaign_id}
        row = self._connection.execute(_QUERIES["numbers"], parameters).fetchone()
        return (row[0], row[1], row[2]) if row else (0, 0, 0)

    def _one(self, query: str) -> tuple[int]:
        row = self._connection.execute(_QUERIES[query], self._claim_parameters()).fetchone()
        if row is None:
            raise DatabaseUnavailable(
                "the row changed while its letter was being decided; nothing was done, try again",
                certain=True,
            )
        return (row[0],)

    def _decided(self, outcome: Outcome, detail: str, version: int | None = None) -> Decision:
        letter = self._letter
        return Decision(letter.dead_letter_id, outcome, detail, letter.campaign_id, version)

    def _close(self, state: State, action: str, decision: Decision) -> None:
        parameters = self._claim_parameters() | {
            "state": state,
            "actor": self._actor,
            "action": f"dead_letter.{action}",
            "outcome": decision.outcome,
            "version": decision.version,
        }
        self._connection.execute(_QUERIES["close"], parameters)

    def _claim_parameters(self) -> dict[str, object]:
        letter = self._letter
        return {
            "dead_letter_id": letter.dead_letter_id,
            "campaign_id": letter.campaign_id,
            "position": letter.position,
            "user_id": letter.user_id,
        }
