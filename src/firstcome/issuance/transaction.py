"""One transaction of the recorder: what it is given is decided together, or not at all.

The order inside is law: lock the campaigns; read the epochs in a later statement,
so that nothing is recorded that a rebuild has already counted out; insert; look
the rest up; give positions up last, so that other recorders wait least.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from firstcome import failpoints, postgres
from firstcome.errors import DatabaseUnavailable
from firstcome.issuance.batch import Batch, claims_in, possible
from firstcome.issuance.cancellation import Cancellation, cancel
from firstcome.issuance.cancellation import Reason as CancelReason
from firstcome.issuance.quarantine import DeadLetter, Reason, keep_under_review, write
from firstcome.issuance.settled import Settled
from firstcome.model import CampaignId, Claim, Status

_QUERIES = postgres.queries("issuance")
_ON_CONFLICT = "    ON CONFLICT DO NOTHING\n"
_RECORD_ALL_NEW = _QUERIES["record"].replace(_ON_CONFLICT, "")


@dataclass(slots=True)
class Recorded:
    """What became of claims. Counts are claims; `settled` holds every position with a row now."""

    settled: Settled = field(default_factory=Settled)
    issued: int = 0
    replayed: int = 0  # recorded before: by an earlier try, or decided by an operator
    cancelled: int = 0  # the user was in already; the position was given up
    quarantined: int = 0  # UNDER_REVIEW
    dead_lettered: int = 0  # set aside without a row; undecodable records not counted
    fenced: int = 0  # of an epoch that ended before them

    def merge(self, other: "Recorded") -> None:
        """Add what another transaction did."""
        self.settled.merge(other.settled)
        self.issued += other.issued
        self.replayed += other.replayed
        self.cancelled += other.cancelled
        self.quarantined += other.quarantined
        self.dead_lettered += other.dead_lettered
        self.fenced += other.fenced


class Transaction:
    """Records batches within one open transaction of the caller's. Used once."""

    def __init__(self, connection: postgres.Connection, *, all_new: bool = False) -> None:
        """`all_new`: no claim is expected to have a row, which saves a third of the insert.

        If one has, `record` raises RowExists: roll back, and record again without it.
        """
        self._connection = connection
        self._record_query = _RECORD_ALL_NEW if all_new else _QUERIES["record"]
        self._current: dict[int, int] = {}
        self._fences: dict[tuple[int, int], int | None] = {}
        self._recorded = Recorded()
        self._letters: list[DeadLetter] = []
        self._duplicates: dict[CampaignId, list[Claim]] = {}

    @property
    def letters(self) -> Sequence[DeadLetter]:
        """What it had to set aside."""
        return self._letters

    def record(self, batches: Sequence[Batch]) -> Recorded:
        """Record the claims. Raises BadRecord when the database refuses one: roll back, bisect."""
        campaigns = self._eligible(batches)
        for campaign_id in sorted(campaigns):
            self._record_campaign(campaign_id, campaigns[campaign_id])
        for campaign_id in sorted(self._duplicates):
            self._give_up(campaign_id, self._duplicates[campaign_id])
        self._write_letters()
        failpoints.hit("before_commit", lost=_connection_lost())
        return self._recorded

    def recall(self, batch: Batch) -> Recorded | None:
        """Settle a refused batch of one claim if its position has a row already; None: it has not.

        The database refuses a row before it looks whether the row is a repeat.
        """
        for campaign_id, parts in self._eligible([batch]).items():
            parameters = {
                "campaign_id": campaign_id,
                "positions": f"{{{batch.event.first_position}}}",
            }
            if not self._connection.execute(_QUERIES["rows_at"], parameters).fetchone():
                return None
            self._classify(campaign_id, parts, parts[0].event.users, issued=0)
        self._write_letters()
        return self._recorded

    def quarantine(self, batch: Batch, letter: DeadLetter) -> Recorded:
        """Set a batch of one claim aside: UNDER_REVIEW where a row is possible, and the letter."""
        for claim in chain.from_iterable(
            part.claims() for parts in self._eligible([batch]).values() for part in parts
        ):
            status = None
            if letter.reason is Reason.REJECTED:
                status = keep_under_review(self._connection, claim)
                if status is None and self._is_in_already(claim):
                    self._give_up(claim.campaign_id, [claim])
                    continue
            if status is None:
                self._recorded.dead_lettered += 1
            else:
                self._recorded.quarantined += 1
                self._settle(claim, status)
            self._letters.append(letter._replace(claim=claim, origin=batch.origin))
        self._write_letters()
        failpoints.hit("after_quarantine", lost=_connection_lost())
        return self._recorded

    def _is_in_already(self, claim: Claim) -> bool:
        """Whether nothing is at the claim's position because its user holds another one."""
        parameters = {
            "campaign_id": claim.campaign_id,
            "positions": f"{{{claim.position}}}",
            "users": claim.user_id,
        }
        found = self._connection.execute(_QUERIES["look_up"], parameters).fetchone()
        return found is not None and found[2] is None and found[4] is not None

    def _eligible(self, batches: Sequence[Batch]) -> dict[CampaignId, list[Batch]]:
        """Lock, read the epochs, and return by campaign what counts; set the rest aside."""
        self._lock_and_read_epochs(batches)
        campaigns: dict[CampaignId, list[Batch]] = {}
        for batch in batches:
            event = batch.event
            key = (event.campaign_id, event.epoch)
            if event.campaign_id not in self._current:
                self._set_aside(batch, Reason.UNKNOWN_CAMPAIGN, "no such campaign")
            elif key not in self._fences:
                self._set_aside(batch, Reason.UNKNOWN_EPOCH, "no such epoch")
            elif part := self._within_the_fence(batch, self._fences[key]):
                campaigns.setdefault(CampaignId(event.campaign_id), []).append(part)
        return campaigns

    def _lock_and_read_epochs(self, batches: Sequence[Batch]) -> None:
        campaigns = {batch.event.campaign_id for batch in batches}
        epochs = {batch.event.epoch for batch in batches}
        parameters = {
            "campaigns": f"{{{','.join(map(str, campaigns))}}}",
            "epochs": f"{{{','.join(map(str, epochs))}}}",
        }
        locked = self._connection.execute(_QUERIES["lock_campaigns"], parameters).fetchall()
        self._current = dict(locked)
        failpoints.hit("after_lock", lost=_connection_lost())
        for campaign_id, epoch, last in self._connection.execute(
            _QUERIES["read_epochs"], parameters
        ):
            self._fences[campaign_id, epoch] = last
        failpoints.hit("after_epochs", lost=_connection_lost())

    def _within_the_fence(self, batch: Batch, fence: int | None) -> Batch | None:
        if fence is None or batch.last_position <= fence:
            return batch
        kept = max(0, fence - batch.event.first_position + 1)
        self._recorded.fenced += len(batch.event.users) - kept
        return batch.part(0, kept) if kept else None

    def _record_campaign(self, campaign_id: CampaignId, batches: list[Batch]) -> None:
        batches, words = self._with_words(batches)
        if not batches:
            return
        # In the order of positions: two recorders that meet lock their rows in the same order.
        order = sorted(range(len(batches)), key=lambda i: batches[i].event.first_position)
        events = [batches[i].event for i in order]
        parameters = {
            "campaign_id": campaign_id,
            "firsts": f"{{{','.join([str(event.first_position) for event in events])}}}",
            "epochs": f"{{{','.join([str(event.epoch) for event in events])}}}",
            "times": f"{{{','.join([repr(event.requested_at) for event in events])}}}",
            "users": "\n".join([words[i] for i in order]),
            "attempts": "\n".join([" ".join(map(str, event.attempts)) for event in events]),
        }
        row = self._connection.execute(self._record_query, parameters).fetchone()
        issued: int = row[0] if row else 0
        failpoints.hit("after_insert", lost=_connection_lost())
        self._recorded.issued += issued
        if issued == claims_in(batches):
            for batch in batches:
                event = batch.event
                whole = (event.first_position, batch.last_position, 1)
                self._recorded.settled.add(campaign_id, event.epoch, [whole])
        else:
            self._classify(campaign_id, batches, words, issued)

    def _with_words(self, batches: list[Batch]) -> tuple[list[Batch], list[str]]:
        words = [batch.words() for batch in batches]
        if None not in words:
            return batches, [each for each in words if each is not None]
        sound: list[Batch] = []
        for batch in batches:
            parts, impossible = possible(batch)
            sound += parts
            for claim in impossible:
                said = f"not a user id: {ascii(claim.user_id)[:200]}"
                self._bury(claim, batch, Reason.IMPOSSIBLE_USER, said)
        return sound, [" ".join(batch.event.users) for batch in sound]

    def _classify(
        self, campaign_id: CampaignId, batches: list[Batch], words: list[str], issued: int
    ) -> None:
        """Say of each claim why it went in or did not."""
        positions = (
            range(batch.event.first_position, batch.last_position + 1) for batch in batches
        )
        rows = self._connection.execute(
            _QUERIES["look_up"],
            {
                "campaign_id": campaign_id,
                "positions": f"{{{','.join(map(str, chain.from_iterable(positions)))}}}",
                "users": " ".join(words),
            },
        ).fetchall()
        odd = {(position, user_id): found for position, user_id, *found in rows}
        for batch in batches:
            for claim in batch.claims():
                found = odd.get((claim.position, claim.user_id))
                if found is None:
                    self._recorded.replayed += 1
                    self._settle(claim, Status.ISSUED)
                else:
                    self._classify_odd(claim, batch, *found)
        # What this very transaction inserted stands as ISSUED too, but is no replay.
        self._recorded.replayed -= issued

    def _classify_odd(
        self, claim: Claim, batch: Batch, here: str | None, own: bool | None, elsewhere: int | None
    ) -> None:
        if here is None and elsewhere is None:
            raise DatabaseUnavailable(
                "rows changed while a batch was being classified; nothing was recorded, "
                "the batch is tried again",
                certain=True,
            )
        if here is None:
            self._duplicates.setdefault(claim.campaign_id, []).append(claim)
        elif here == Status.CANCELLED or own:
            self._recorded.replayed += 1
            self._settle(claim, Status(here))
        else:
            self._settle(claim, Status(here))
            said = "another user's row is at this position"
            self._bury(claim, batch, Reason.POSITION_TAKEN, said)

    def _give_up(self, campaign_id: CampaignId, claims: list[Claim]) -> None:
        """Cancel the positions of users who are in already; one raise of the limit for all."""
        epoch = self._current[campaign_id]
        # In an epoch that is over every position up to its end has a row: nothing is left to do.
        current = [claim for claim in claims if claim.epoch == epoch]
        self._recorded.fenced += len(claims) - len(current)
        by_position = {claim.position: claim.user_id for claim in reversed(current)}
        positions = sorted(by_position)
        users = [by_position[position] for position in positions]
        cancelled = cancel(
            self._connection,
            Cancellation(campaign_id, epoch, positions, users, CancelReason.DUPLICATE),
        )
        if cancelled != positions:
            raise DatabaseUnavailable(
                "positions were decided elsewhere while they were being given up; nothing was "
                "recorded, the batch is tried again",
                certain=True,
            )
        self._recorded.cancelled += len(positions)
        self._recorded.replayed += len(current) - len(positions)
        for claim in current:
            self._settle(claim, Status.CANCELLED)

    def _settle(self, claim: Claim, status: Status) -> None:
        self._recorded.settled.add_position(claim.campaign_id, claim.epoch, claim.position, status)

    def _set_aside(self, batch: Batch, reason: Reason, detail: str) -> None:
        for claim in batch.claims():
            self._bury(claim, batch, reason, detail)

    def _bury(self, claim: Claim, batch: Batch, reason: Reason, detail: str) -> None:
        self._recorded.dead_lettered += 1
        self._letters.append(DeadLetter(claim, batch.origin, reason, detail))

    def _write_letters(self) -> None:
        for letter in self._letters:
            write(self._connection, letter)


def _connection_lost() -> DatabaseUnavailable:
    """Return what a caller sees when the session breaks in mid-transaction: nobody knows."""
    return DatabaseUnavailable("the session broke within the transaction")
