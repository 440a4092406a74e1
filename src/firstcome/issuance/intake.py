"""A claim's way from the request to the answer: the gate's verdict, then the log's acknowledgement.

Path: api.express -> [issuance.intake] -> gate -> eventlog

It promises that REQUESTED is said only after the broker has the claim, and only
within D of the gate call; whoever hears it gets the coupon. Refusals are said
straight after the verdict. Everything else is "unknown": the place is kept, the
sweeper settles it, and the same Idempotency-Key finds it again.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from time import monotonic
from typing import Protocol

from firstcome import failpoints
from firstcome.campaigns import CampaignDirectory
from firstcome.errors import DatabaseUnavailable, GateUnavailable, LogUnavailable
from firstcome.eventlog import events
from firstcome.gate.gate import AskedClaim, Failure, Gate, Verdicts
from firstcome.gate.watcher import SettledWatcher
from firstcome.issuance.compensation import Compensation
from firstcome.issuance.release import Release
from firstcome.issuance.reply import UNAVAILABLE, UNKNOWN, Reply, say
from firstcome.issuance.stock import Left
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import (
    SETTLED,
    Answer,
    CampaignId,
    CampaignState,
    Outcome,
    Position,
    Status,
    UserId,
    Verdict,
)
from firstcome.settings import IntakeSettings

EXPIRE_SECONDS = 0.05  # how often overdue answers are looked for
REFUSALS = {
    Verdict.SOLD_OUT: Answer(Outcome.OUT_OF_STOCK),
    Verdict.NOT_OPEN: Answer(Outcome.NOT_OPEN),
    Verdict.PAUSED: Answer(Outcome.NOT_OPEN),
    Verdict.CLOSED: Answer(Outcome.CLOSED),
}
log = get_logger()


class Log(Protocol):
    """Who acknowledges a batch: the appender of the engine `kafka`, or the journal itself."""

    @property
    def is_away(self) -> bool:
        """Whether claims are refused before they take a place."""

    def append(self, value: bytes, report: Callable[[bool], None], /) -> None:
        """Call `report` once, later, on the event loop. Raises LogUnavailable."""


class _Owed:
    """The answers of one admitted batch, until its acknowledgement."""

    __slots__ = ("answered", "due", "event", "replies")

    def __init__(self, event: events.IssuanceRequested, replies: list[Reply], due: float) -> None:
        self.event = event
        self.replies = replies  # replies[i] holds position event.first_position + i
        self.due = due
        self.answered = False


class Intake:
    """Takes claims from both doors. Single event loop."""

    def __init__(
        self,
        settings: IntakeSettings,
        gate: Gate,
        appender: Log,
        watcher: SettledWatcher,
        compensation: Compensation,
        release: Release,
        directory: CampaignDirectory,
    ) -> None:
        """The gate brings its batches to `judged`, the appender its absence to `broker_away`."""
        self._settings = settings
        self._gate = gate
        self._appender = appender
        self._watcher = watcher
        self._compensation = compensation
        self._release = release
        self._directory = directory
        self._appended = catalogue.APPENDED.of()
        self._owed: dict[int, _Owed] = {}  # in the order of their deadlines
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None

    def claim(self, campaign_id: CampaignId, user_id: UserId, attempt: int, reply: Reply) -> None:
        """Answer one claim through `reply`, once, maybe before this returns. Never raises.

        Idempotent for one attempt: asking again with the same Idempotency-Key takes no second
        place. attempt 0: the request came without a key.
        """
        # Refused before it takes a place: a claim that cannot be appended helps nobody.
        if self._appender.is_away or not self._gate.admit(
            campaign_id, AskedClaim(user_id, attempt, reply)
        ):
            reply(UNAVAILABLE)

    def judged(self, verdicts: Verdicts) -> None:
        """Take a batch back from the gate: answer refusals, append the admitted part."""
        if verdicts.failure is not None:
            self._failed(verdicts, verdicts.failure)
            return
        try:
            failpoints.hit("after_admit", lost=GateUnavailable("the gate's reply was lost"))
        except Exception:
            log.exception("verdicts_lost", claims=len(verdicts.claims))
            self._failed(verdicts, Failure(certain=False))
            return
        users: list[str] = []
        attempts: list[int] = []
        replies: list[Reply] = []
        first = 0
        keyed = False
        for value, (user_id, attempt, reply) in zip(verdicts.replies, verdicts.claims, strict=True):
            verdict = value & 7
            if verdict == Verdict.ADMITTED:
                first = first or value >> 5
                users.append(user_id)
                attempts.append(attempt)
                replies.append(reply)
                keyed = keyed or attempt > 0
            elif verdict in (Verdict.REPLAYED, Verdict.DUPLICATE):
                try:
                    self._held(verdicts, value, reply)
                except Exception:
                    log.exception("held_place_mishandled")
                    say(reply, UNKNOWN)
            else:
                say(reply, REFUSALS[Verdict(verdict)])
        if users:
            event = events.IssuanceRequested(
                verdicts.campaign_id,
                verdicts.epoch,
                first,
                users,
                attempts if keyed else [],
                verdicts.requested_at,
            )
            owed = _Owed(event, replies, verdicts.sent_at + self._settings.answer_deadline_seconds)
            try:
                self._append(owed)
            except Exception:
                # Nobody knows whether the record is on its way; the sweeper will.
                log.exception("append_mishandled", claims=len(replies))
                _answer(owed, promised=False)

    def broker_away(self) -> None:
        """Answer everybody who waits: nobody knows whether the broker has their records."""
        for owed in self._owed.values():
            _answer(owed, promised=False)
        self._owed.clear()

    async def stock_left(self, campaign_ids: Sequence[CampaignId]) -> Left:
        """Return how many coupons each has left, without those whose gate is shut or away."""
        return await self._gate.stock_left(campaign_ids)

    async def drain(self) -> None:
        """Wait for compensations under way."""
        if self._expiry is not None:
            self._expiry.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _failed(self, verdicts: Verdicts, failure: Failure) -> None:
        if failure.absent:
            self._spawn(self._explain_absence(verdicts.campaign_id, verdicts.claims))
            return
        answer = UNAVAILABLE if failure.certain else UNKNOWN
        for claim in verdicts.claims:
            say(claim.reply, answer)

    def _held(self, verdicts: Verdicts, value: int, reply: Reply) -> None:
        """Answer a user who holds a place already."""
        position, status = value >> 5, SETTLED[value >> 3 & 3]
        if status is Status.CANCELLED:
            # The place is about to be released; the next try is a new claim.
            say(reply, UNAVAILABLE)
        elif value & 7 == Verdict.DUPLICATE:
            say(reply, Answer(Outcome.DUPLICATE, position, status))
        elif status is Status.REQUESTED:
            self._watcher.watch(
                verdicts.campaign_id,
                verdicts.epoch,
                position,
                verdicts.sent_at + self._settings.answer_deadline_seconds,
                partial(_replay, reply, position),
            )
        else:
            _replay(reply, position, status)

    def _append(self, owed: _Owed) -> None:
        self._sequence += 1
        sequence = self._sequence
        try:
            self._appender.append(events.encode(owed.event), partial(self._reported, sequence))
        except LogUnavailable as error:
            log.warning("append_refused", claims=len(owed.replies), reason=str(error))
            self._spawn(self._compensate(owed))
            return
        self._appended.value += len(owed.replies)
        failpoints.hit("after_append", lost=LogUnavailable("the report was lost"))
        if self._appender.is_away:
            # It went away while the claims were at the gate; they are on their way all the same.
            _answer(owed, promised=False)
            return
        self._owed[sequence] = owed
        if self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(EXPIRE_SECONDS, self._expire)

    def _reported(self, sequence: int, delivered: bool) -> None:
        lost = LogUnavailable("the report was lost")
        failpoints.hit("after_acknowledgement", lost=lost)
        owed = self._owed.pop(sequence, None)
        if owed is not None:
            # A late acknowledgement is no promise: a rebuild may have fenced the position by then.
            _answer(owed, promised=delivered and monotonic() <= owed.due)
            failpoints.hit("after_answer", lost=lost)

    def _expire(self) -> None:
        now = monotonic()
        for sequence, owed in list(self._owed.items()):
            if owed.due > now:
                break
            del self._owed[sequence]
            _answer(owed, promised=False)
        self._expiry = (
            asyncio.get_running_loop().call_later(EXPIRE_SECONDS, self._expire)
            if self._owed
            else None
        )

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _explain_absence(self, campaign_id: CampaignId, claims: list[AskedClaim]) -> None:
        """Redis knows no such campaign: it does not exist, or its gate has to be loaded yet."""
        try:
            campaign = await self._directory.get(campaign_id)
        except DatabaseUnavailable:
            outcome = Outcome.UNAVAILABLE
        except Exception:
            log.exception("absence_unexplained")
            outcome = Outcome.UNAVAILABLE
        else:
            if campaign is None:
                outcome = Outcome.NOT_FOUND
            elif campaign.state in (CampaignState.CLOSED, CampaignState.ARCHIVED):
                outcome = Outcome.CLOSED
            else:
                outcome = Outcome.UNAVAILABLE
        for claim in claims:
            say(claim.reply, Answer(outcome))

    async def _compensate(self, owed: _Owed) -> None:
        """Cancel by insert what was certainly not appended, and release its users at once."""
        cancelled: frozenset[Position] = frozenset()
        try:
            cancelled = await self._compensation.cancel(owed.event)
            if cancelled:
                await self._release.release(CampaignId(owed.event.campaign_id))
        except Exception:
            log.exception("compensation_broke")
        catalogue.COMPENSATED.add(len(cancelled), "cancelled")
        catalogue.COMPENSATED.add(len(owed.replies) - len(cancelled), "left")
        for position, reply in enumerate(owed.replies, owed.event.first_position):
            say(reply, UNAVAILABLE if position in cancelled else UNKNOWN)


def _answer(owed: _Owed, *, promised: bool) -> None:
    if not promised:
        for reply in owed.replies:
            say(reply, UNKNOWN)
        return
    for position, reply in enumerate(owed.replies, owed.event.first_position):
        say(reply, Answer(Outcome.REQUESTED, position, Status.REQUESTED))


def _replay(reply: Reply, position: int, status: Status) -> None:
    """Say yes again only to what is ISSUED: this process may not know whether it was promised."""
    if status is Status.ISSUED:
        say(reply, Answer(Outcome.REQUESTED, position, Status.REQUESTED, replayed=True))
    else:
        say(reply, UNAVAILABLE if status is Status.CANCELLED else UNKNOWN)
