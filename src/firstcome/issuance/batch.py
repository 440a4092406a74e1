"""A batch: an admitted batch on its way to the database, with the place it came from.

Between the log (or a gate's journal) and the recorder. Batches are cut here, at
row limits, at the end of an epoch and around claims that could never have a row,
without making an object of every claim: most batches are never cut at all.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from firstcome.eventlog.consumer import Origin
from firstcome.eventlog.events import IssuanceRequested
from firstcome.model import USER_ID_PATTERN, CampaignId, Claim, Position, UserId

_ID = USER_ID_PATTERN.pattern
# Possessive: a batch that does not match is given up at once instead of being tried in other ways.
_IDS_PATTERN = re.compile(f"{_ID}+(?: {_ID}+)*+")


class Batch(NamedTuple):
    """Claims that were admitted together; origin None: they come from a gate's journal."""

    event: IssuanceRequested
    origin: Origin | None = None

    @property
    def last_position(self) -> int:
        """The position of the last claim."""
        return self.event.first_position + len(self.event.users) - 1

    def words(self) -> str | None:
        """Return the user ids with spaces between them, or None if one of them is impossible."""
        words = " ".join(self.event.users)
        whole = _IDS_PATTERN.fullmatch(words) and words.count(" ") == len(self.event.users) - 1
        return words if whole else None

    def part(self, start: int, stop: int) -> "Batch":
        """Return the claims from index `start` up to, not including, `stop`."""
        event = self.event
        changed = msgspec.structs.replace(
            event,
            first_position=event.first_position + start,
            users=event.users[start:stop],
            attempts=event.attempts[start:stop],
        )
        return Batch(changed, self.origin)

    def claims(self) -> Iterator[Claim]:
        """Yield every claim as an object of its own; for the few that need it."""
        event = self.event
        attempts = event.attempts or [0] * len(event.users)
        for index, (user_id, attempt) in enumerate(zip(event.users, attempts, strict=True)):
            yield Claim(
                CampaignId(event.campaign_id),
                event.epoch,
                Position(event.first_position + index),
                UserId(user_id),
                attempt,
                event.requested_at,
            )


def claims_in(batches: Iterable[Batch]) -> int:
    """Return the number of claims."""
    return sum(len(batch.event.users) for batch in batches)


def halves(batches: Sequence[Batch]) -> tuple[list[Batch], list[Batch]]:
    """Cut two or more claims in the middle."""
    middle = claims_in(batches) // 2
    first: list[Batch] = []
    second: list[Batch] = []
    for batch in batches:
        room = middle - claims_in(first)
        count = len(batch.event.users)
        if room > 0:
            first.append(batch.part(0, room) if room < count else batch)
        if room < count:
            second.append(batch.part(room, count) if room > 0 else batch)
    return first, second


def slices(batches: Iterable[Batch], claims_max: int) -> Iterator[list[Batch]]:
    """Yield runs of whole batches, of at most `claims_max` claims unless one alone has more."""
    run: list[Batch] = []
    claims = 0
    for batch in batches:
        count = len(batch.event.users)
        if run and claims + count > claims_max:
            yield run
            run, claims = [], 0
        run.append(batch)
        claims += count
    if run:
        yield run


def possible(batch: Batch) -> tuple[list[Batch], list[Claim]]:
    """Separate the claims whose user id could be an id from those that could not."""
    parts: list[Batch] = []
    impossible: list[Claim] = []
    start = 0
    for index, claim in enumerate(batch.claims()):
        if not USER_ID_PATTERN.fullmatch(claim.user_id):
            impossible.append(claim)
            if start < index:
                parts.append(batch.part(start, index))
            start = index + 1
    if start < len(batch.event.users):
        parts.append(batch.part(start, len(batch.event.users)))
    return parts, impossible
