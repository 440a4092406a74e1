"""Dead letters over the operators' port: look, redrive, discard, one letter each.

The same commands as `firstcome dead-letters`. An answer says what PostgreSQL holds; the gate
follows within a sweeper's tick. A letter that does not stand as asked is a 409 whose detail
begins with the outcome.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from firstcome.errors import DeadLetterNotFound, Refused
from firstcome.issuance.dead_letters import Asked, DeadLetters
from firstcome.issuance.decision import Decision, Outcome
from firstcome.issuance.letter import Letter, State
from firstcome.issuance.quarantine import Reason
from firstcome.model import CampaignId

Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1, description="The letter's number.")]
Given = NamedDependency[DeadLetters]
Actor = NamedDependency[str]


class DeadLetterView(msgspec.Struct, frozen=True):
    """A dead letter as operators see it; the payload in base64."""

    dead_letter_id: int
    state: State
    campaign_id: int | None
    epoch: int | None
    position: int | None
    user_id: str | None
    attempt: int | None
    requested_at: float | None
    topic: str | None
    partition: int | None
    offset: int | None
    reason: Reason
    detail: str
    payload: bytes | None
    attempts: int
    created_at: datetime
    decided_at: datetime | None
    published_at: datetime | None


class DeadLetterList(msgspec.Struct, frozen=True):
    """Letters, oldest first; `next_after` asks for the next page, null: there is none."""

    dead_letters: list[DeadLetterView]
    next_after: int | None


class DecisionView(msgspec.Struct, frozen=True):
    """What became of a letter; see the outcomes in docs/dead-letters.md."""

    dead_letter_id: int
    outcome: Outcome
    detail: str


class DeadLettersController(Controller):
    """The routes below /v1/dead-letters."""

    path = "/v1/dead-letters"

    @get(sync_to_thread=True)
    def list_all(
        self,
        dead_letters: Given,
        in_state: Annotated[State | None, QueryParameter(name="state")] = None,
        reason: Annotated[Reason | None, QueryParameter()] = None,
        campaign: Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1)] = None,
        after: Annotated[int, QueryParameter(ge=0, le=2**63 - 1)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> DeadLetterList:
        """Return letters in one state, or in any."""
        asked = Asked(in_state, reason, None if campaign is None else CampaignId(campaign))
        found = dead_letters.list(asked, after=after, rows=limit)
        more = found[-1].dead_letter_id if len(found) == limit else None
        return DeadLetterList([view(letter) for letter in found], more)

    @get("/{dead_letter_id:int}", sync_to_thread=True)
    def show(self, dead_letters: Given, dead_letter_id: Number) -> DeadLetterView:
        """Return one letter."""
        return view(dead_letters.show(dead_letter_id))

    @post("/{dead_letter_id:int}/redrive", status_code=200, sync_to_thread=True)
    def redrive(self, dead_letters: Given, actor: Actor, dead_letter_id: Number) -> DecisionView:
        """Issue the claim after all. Repeating it changes nothing."""
        (decision,) = dead_letters.redrive([dead_letter_id], actor)
        return _answer(decision)

    @post("/{dead_letter_id:int}/discard", status_code=200, sync_to_thread=True)
    def discard(self, dead_letters: Given, actor: Actor, dead_letter_id: Number) -> DecisionView:
        """Give the unit back to the stock. Repeating it changes nothing."""
        (decision,) = dead_letters.discard([dead_letter_id], actor)
        return _answer(decision)


def view(letter: Letter) -> DeadLetterView:
    """Return what operators see of a letter."""
    return DeadLetterView(**letter._asdict())


def _answer(decision: Decision) -> DecisionView:
    if decision.outcome is Outcome.NOT_FOUND:
        raise DeadLetterNotFound(decision.detail)
    if not decision.stands:
        raise Refused(f"{decision.outcome}: {decision.detail}")
    return DecisionView(decision.dead_letter_id, decision.outcome, decision.detail)
