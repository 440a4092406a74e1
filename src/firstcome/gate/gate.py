"""The gate: one atomic decision per claim, taken inside Redis, a batch at a time.

Path: issuance.intake -> [gate] -> issuance.intake -> eventlog

It promises that within an epoch no position is given twice, none beyond the
limit, and none to a user who holds one. It admits nobody unless the epoch that
it knows is the stored one and belongs to this very life of the Redis server.
It does not promise that an admitted claim is recorded; the journal, the log and
the sweeper do.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import NamedTuple

import hiredis

from firstcome import failpoints
from firstcome.errors import GateUnavailable
from firstcome.gate import keys
from firstcome.gate.batcher import Batcher
from firstcome.gate.connection import GateConnection
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.model import Answer, CampaignId, UserId
from firstcome.settings import IntakeSettings

SHUT_SECONDS = 0.1  # a gate that was shut is not asked again sooner
ABSENT_SECONDS = 1.0  # nor one that does not exist
ENTRANCES_MAX = 10_000  # campaigns remembered, so that asking for invented ones costs no memory
log = get_logger()


class AskedClaim(NamedTuple):
    """One claim on its way to the gate; `reply` gets the answer, once."""

    user_id: UserId
    attempt: int
    reply: Callable[[Answer], None]


class AskedStatus(NamedTuple):
    """One status read; `reply` gets position * 4 + settled, 0 for a stranger, or a failure."""

    user_id: UserId
    reply: Callable[["int | Failure"], None]


class Failure(NamedTuple):
    """Why the gate did not decide. `absent`: Redis knows no such campaign.

    `over`: no caller is admitted into this epoch any more; the next one is loaded from the rows.
    """

    certain: bool  # nothing was done
    absent: bool = False
    over: bool = False


class Epoch(NamedTuple):
    """One life of a campaign's gate, with the keys that are in use."""

    number: int
    field: str
    run_id: str
    buckets: int
    journal: str
    settled: str
    users: str


class Verdicts(NamedTuple):
    """What became of one batch: a reply per claim (see admit.lua), or a failure for all."""

    campaign_id: CampaignId
    epoch: int
    claims: list[AskedClaim]
    replies: list[int]
    failure: Failure | None
    sent_at: float  # monotonic
    requested_at: float  # seconds since 1970


class _Entrance:
    """What this process knows of one campaign's gate, and who waits before it."""

    def __init__(self, gate: "Gate", campaign_id: CampaignId, settings: IntakeSettings) -> None:
        self.campaign_id = campaign_id
        self.gate_key = keys.gate(campaign_id)
        self.epoch: Epoch | None = None
        self.failure: Failure | None = None
        self.failure_until = 0.0
        self.reading = False
        bound = (
            settings.batch_claims_max,
            settings.queue_claims_max,
            settings.batch_interval_ms / 1000,
        )
        self.claims: Batcher[AskedClaim] = Batcher(partial(gate._ask_claims, self), *bound)
        self.statuses: Batcher[AskedStatus] = Batcher(partial(gate._ask_statuses, self), *bound)
        self.unsent: list[Callable[[], None]] = []


class Gate:
    """The gates of all campaigns, through one connection. Single event loop."""

    def __init__(
        self,
        connection: GateConnection,
        settings: IntakeSettings,
        on_verdicts: Callable[[Verdicts], None],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._on_verdicts = on_verdicts
        self._entrances: dict[CampaignId, _Entrance] = {}
        self._call_seconds = catalogue.GATE_CALL.of()
        self._batch_claims = catalogue.GATE_BATCH.of()

    def admit(self, campaign_id: CampaignId, claim: AskedClaim) -> bool:
        """Queue one claim; its batch comes back through `on_verdicts`. False: the queue is full."""
        return self._entrance(campaign_id).claims.add(claim)

    def status(self, campaign_id: CampaignId, asked: AskedStatus) -> bool:
        """Queue one status read. False: the queue is full."""
        return self._entrance(campaign_id).statuses.add(asked)

    def epoch(self, campaign_id: CampaignId) -> Epoch | None:
        """Return the epoch last seen, if any; it may have ended since."""
        entrance = self._entrances.get(campaign_id)
        return entrance.epoch if entrance else None

    async def stock_left(self, campaign_ids: Sequence[CampaignId]) -> dict[CampaignId, int]:
        """Return how many more claims each gate would admit; without those shut or away.

        One call a campaign, all under way at once: the caller keeps them few.
        """
        fields = ("epoch", "position_last", "position_limit")
        asked = [
            self._connection.asked(("HMGET", keys.gate(each), *fields)) for each in campaign_ids
        ]
        left: dict[CampaignId, int] = {}
        for campaign_id, values in zip(campaign_ids, await asyncio.gather(*asked), strict=True):
            if isinstance(values, list) and self._valid(values[0]) is not None:
                left[campaign_id] = int(values[2]) - int(values[1])
        return left

    def _entrance(self, campaign_id: CampaignId) -> _Entrance:
        entrance = self._entrances.get(campaign_id)
        if entrance is None:
            if len(self._entrances) >= ENTRANCES_MAX:
                self._forget_absent()
            entrance = _Entrance(self, campaign_id, self._settings)
            self._entrances[campaign_id] = entrance
        return entrance

    def _forget_absent(self) -> None:
        for campaign_id, entrance in list(self._entrances.items()):
            if entrance.epoch is None and not entrance.claims and not entrance.statuses:
                del self._entrances[campaign_id]

    def _epoch_now(self, entrance: _Entrance) -> Epoch | None:
        epoch = entrance.epoch
        if epoch is not None and epoch.run_id != self._connection.run_id:
            # A restarted server may have kept its gate and lost the last places that it gave.
            entrance.epoch = epoch = None
        return epoch

    def _ask_claims(self, entrance: _Entrance, batch: list[AskedClaim]) -> None:
        epoch = self._epoch_now(entrance)
        if epoch is None:
            self._without_epoch(
                entrance,
                partial(self._return_claims, entrance, batch),
                partial(self._claims_failed, entrance, batch),
            )
            return
        try:
            failpoints.hit("before_admit", lost=GateUnavailable("nothing was sent", certain=True))
            requested_at = time.time()  # after whatever holds this process up
            names, args = _admission(entrance.gate_key, epoch, batch, requested_at)
        except Exception:
            log.exception("batch_unsent", claims=len(batch))
            self._claims_failed(entrance, batch, Failure(certain=True))
            return
        self._connection.script(
            "admit",
            names,
            args,
            partial(self._claims_replied, entrance, epoch, batch, monotonic(), requested_at),
        )

    def _claims_replied(
        self,
        entrance: _Entrance,
        epoch: Epoch,
        batch: list[AskedClaim],
        sent_at: float,
        requested_at: float,
        reply: object,
    ) -> None:
        self._call_seconds.observe(monotonic() - sent_at)
        self._batch_claims.observe(len(batch))
        if not isinstance(reply, list):
            self._claims_failed(entrance, batch, _failure(reply), sent_at)
        elif reply and isinstance(reply[0], bytes):
            self._stale(entrance, epoch, partial(self._return_claims, entrance, batch))
        else:
            verdicts = Verdicts(
                entrance.campaign_id, epoch.number, batch, reply, None, sent_at, requested_at
            )
            try:
                self._on_verdicts(verdicts)
            finally:
                entrance.claims.finished()

    def _claims_failed(
        self,
        entrance: _Entrance,
        batch: list[AskedClaim],
        failure: Failure,
        sent_at: float = 0.0,
    ) -> None:
        catalogue.GATE_FAILURES.add(len(batch))
        try:
            self._on_verdicts(Verdicts(entrance.campaign_id, 0, batch, [], failure, sent_at, 0.0))
        finally:
            entrance.claims.finished()

    def _return_claims(self, entrance: _Entrance, batch: list[AskedClaim]) -> None:
        entrance.claims.put_back(batch)
        entrance.claims.finished()

    def _ask_statuses(self, entrance: _Entrance, batch: list[AskedStatus]) -> None:
        epoch = self._epoch_now(entrance)
        if epoch is None:
            self._without_epoch(
                entrance,
                partial(self._return_statuses, entrance, batch),
                partial(self._statuses_failed, entrance, batch),
            )
            return
        names = [entrance.gate_key, epoch.settled]
        args: list[str | int] = [epoch.field]
        for user_id, _ in batch:
            names.append(f"{epoch.users}{keys.bucket_of(user_id, epoch.buckets)}")
            args += (user_id, len(names))
        self._connection.script(
            "status", names, args, partial(self._statuses_replied, entrance, epoch, batch)
        )

    def _statuses_replied(
        self, entrance: _Entrance, epoch: Epoch, batch: list[AskedStatus], reply: object
    ) -> None:
        if not isinstance(reply, list):
            self._statuses_failed(entrance, batch, _failure(reply))
        elif reply and isinstance(reply[0], bytes):
            self._stale(entrance, epoch, partial(self._return_statuses, entrance, batch))
        else:
            for asked, value in zip(batch, reply, strict=True):
                _tell(asked, value)
            entrance.statuses.finished()

    def _statuses_failed(
        self, entrance: _Entrance, batch: list[AskedStatus], failure: Failure
    ) -> None:
        for asked in batch:
            _tell(asked, failure)
        entrance.statuses.finished()

    def _return_statuses(self, entrance: _Entrance, batch: list[AskedStatus]) -> None:
        entrance.statuses.put_back(batch)
        entrance.statuses.finished()

    def _stale(self, entrance: _Entrance, epoch: Epoch, again: Callable[[], None]) -> None:
        """The script did nothing: the epoch has changed. Read it anew before asking again."""
        if entrance.epoch is epoch:
            entrance.epoch = None
        again()

    def _without_epoch(
        self,
        entrance: _Entrance,
        again: Callable[[], None],
        failed: Callable[[Failure], None],
    ) -> None:
        """Find out the epoch, then go on with `again`; or fail, at once if that was just tried."""
        if entrance.failure is not None and monotonic() < entrance.failure_until:
            failed(entrance.failure)
            return

        def read() -> None:
            if entrance.epoch is not None:
                again()
            else:
                failed(entrance.failure or Failure(certain=True))

        entrance.unsent.append(read)
        if not entrance.reading:
            entrance.reading = True
            self._connection.call(
                ("HMGET", entrance.gate_key, "epoch", "buckets"),
                partial(self._epoch_read, entrance),
            )

    def _epoch_read(self, entrance: _Entrance, reply: object) -> None:
        entrance.reading = False
        entrance.failure = None
        if not isinstance(reply, list):
            self._remember(entrance, Failure(certain=True), SHUT_SECONDS)
        elif reply[0] is None:
            self._remember(entrance, Failure(certain=True, absent=True, over=True), ABSENT_SECONDS)
        elif (number := self._valid(reply[0])) is None or reply[1] is None:
            self._remember(entrance, Failure(certain=True, over=True), SHUT_SECONDS)
        else:
            campaign_id = entrance.campaign_id
            entrance.epoch = Epoch(
                number,
                reply[0].decode(),
                self._connection.run_id or "",
                int(reply[1]),
                keys.journal(campaign_id, number),
                keys.settled(campaign_id, number),
                keys.users_prefix(campaign_id, number),
            )
        waiting, entrance.unsent = entrance.unsent, []
        for go_on in waiting:
            go_on()

    def _remember(self, entrance: _Entrance, failure: Failure, seconds: float) -> None:
        entrance.failure = failure
        entrance.failure_until = monotonic() + seconds

    def _valid(self, field: bytes | None) -> int | None:
        """Return the epoch's number, if it is of the server that this connection reaches."""
        split = keys.split_epoch_field(field.decode()) if field else None
        return split[0] if split and split[1] == self._connection.run_id else None


def _admission(
    gate_key: str, epoch: Epoch, batch: list[AskedClaim], requested_at: float
) -> tuple[list[str], list[str | int]]:
    """Return admit.lua's keys and arguments."""
    names = [gate_key, epoch.journal, epoch.settled]
    args: list[str | int] = [epoch.field, f"{requested_at:.3f}"]
    index: dict[int, int] = {}
    for user_id, attempt, _ in batch:
        bucket = keys.bucket_of(user_id, epoch.buckets)
        at = index.get(bucket)
        if at is None:
            names.append(f"{epoch.users}{bucket}")
            at = index[bucket] = len(names)
        args += (user_id, attempt, at)
    return names, args


def _failure(reply: object) -> Failure:
    """A refusal by Redis is certain: the script's first write is the only one it may refuse."""
    if isinstance(reply, GateUnavailable):
        return Failure(certain=reply.certain)
    return Failure(certain=isinstance(reply, hiredis.ReplyError))


def _tell(asked: AskedStatus, value: "int | Failure") -> None:
    try:
        asked.reply(value)
    except Exception:
        log.exception("status_mishandled")
