"""What was told of a campaign, and telling it again: for operators, whichever relay runs.

Beside the path: rows, outbox and topic -> [relay.history] -> what is missing -> the topic

Completeness compares the rows with the topic itself, so it needs no trust in a relay. A replay
publishes events of rows that are there; it is a repeat for whoever has had them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from firstcome import postgres
from firstcome.errors import BadRecord, CampaignNotFound
from firstcome.eventlog import issued, reader, topics
from firstcome.eventlog.emitter import Emitter
from firstcome.model import POSITION_MAX
from firstcome.relay.outbox import Outbox, Range, ranges_of
from firstcome.settings import Settings

_QUERIES = postgres.queries("events")
REPLAY_EVENTS = 5000  # of one transaction and one wait for the brokers
Marks = dict[int, bytearray]  # campaign -> a byte a position


class Completeness(NamedTuple):
    """One campaign's coupons against the events of it."""

    campaign_id: int
    issued: int
    told: int
    waiting: int  # of those not told, in the outbox: a relay is going to publish them
    missing: int  # of those not told, the rest: nobody is going to
    repeats: int
    strangers: int  # events of no coupon that was issued
    whole: bool  # False: the topic has lost its oldest events; what is missing is not known
    untold: list[Range]  # waiting and missing

    @property
    def is_complete(self) -> bool | None:
        """Whether every coupon was told, or waits to be, and nothing else was; None: not known."""
        if self.missing or self.strangers:
            return False
        return True if self.whole or not self.untold else None


class EventHistory:
    """Blocking; for one thread. Raises DatabaseUnavailable, LogUnavailable, CampaignNotFound."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._outbox = Outbox(settings.relay)

    def check(self, campaign_ids: list[int]) -> list[Completeness]:
        """Compare rows with the topic, for some campaigns or, if none are named, for all."""
        before, waiting = self._marks("issued", campaign_ids), self._marks("waiting", campaign_ids)
        for campaign_id in set(campaign_ids) - set(before):
            raise CampaignNotFound(
                f"there is no campaign {campaign_id}: `firstcome campaign list` shows them all"
            )
        kafka, topic = self._settings.kafka, topics.coupon_issued(self._settings.kafka)
        whole = reader.is_whole(kafka, topic)
        told = self._told(set(before))
        # Coupons that were issued while the topic was read may have been told by then.
        after = self._marks("issued", campaign_ids)
        return [
            _compared(number, rows, waiting[number], told[number], after[number], whole)
            for number, rows in sorted(before.items())
        ]

    def replay(
        self, ranges: list[Range], actor: str, progress: Callable[[int], None] = lambda events: None
    ) -> int:
        """Publish the events of these positions, in parts; return how many coupons they were.

        They count as published afterwards, so a relay that had them to do has not any more.
        """
        emitter = Emitter(self._settings.kafka)
        published = 0
        try:
            with closing(self._publishing_session()) as connection:
                for part in _parts(ranges):
                    count = self._replayed(connection, emitter, part, actor)
                    published += count
                    progress(count)
        finally:
            emitter.close()
        return published

    def _replayed(
        self, connection: postgres.Connection, emitter: Emitter, part: Range, actor: str
    ) -> int:
        with postgres.transaction(connection):
            events = list(self._outbox.events(connection, [part]))
            if not events:
                return 0
            until = time.monotonic() + self._settings.relay.acknowledge_timeout_seconds
            emitter.hand_over(events, until)
            emitter.flush(until)
            told = [each.position for each in events]
            self._outbox.note(connection, ranges_of(each.event_id for each in events))
            self._outbox.end_published(connection)
            parameters = {
                "actor": actor,
                "campaign_id": part.campaign_id,
                "events": len(told),
                "first": min(told),
                "last": max(told),
            }
            connection.execute(_QUERIES["audit_replay"], parameters)
        return len(told)

    def _marks(self, query: str, campaign_ids: list[int]) -> Marks:
        """Return a byte for each position of each campaign, 1 where the query names it."""
        marks: Marks = {}
        parameters = {"ids": campaign_ids or None}
        with closing(self._connect()) as connection, postgres.transaction(connection):
            for campaign_id, first, end in connection.execute(_QUERIES[query], parameters):
                found = marks.setdefault(campaign_id, bytearray())
                if first is not None:
                    found.extend(bytes(max(0, end - len(found))))
                    found[first:end] = b"\1" * (end - first)
        return marks

    def _told(self, campaign_ids: set[int]) -> Marks:
        """Return how often each position was told, up to 255 times."""
        told: Marks = {number: bytearray() for number in campaign_ids}
        topic = topics.coupon_issued(self._settings.kafka)
        for record in reader.read_all(self._settings.kafka, topic):
            try:
                event = issued.decode(record.value)
            except BadRecord:
                continue  # `firstcome verify` names it
            found = told.get(event.campaign_id)
            if found is None or not 0 < event.position <= POSITION_MAX:
                continue
            found.extend(bytes(max(0, event.position + 1 - len(found))))
            found[event.position] = min(255, found[event.position] + 1)
        return told

    def _publishing_session(self) -> postgres.Connection:
        """A session whose server ends it when this process stands still in a transaction."""
        patient = postgres.Timeouts(
            transaction_seconds=3 * self._settings.relay.acknowledge_timeout_seconds
        )
        return postgres.connect(self._settings.postgres, name="firstcome-events", timeouts=patient)

    def _connect(self) -> postgres.Connection:
        # A million rows take longer than a statement of the path may.
        no_limits = postgres.Timeouts(statement_seconds=0, transaction_seconds=0)
        return postgres.connect(
            self._settings.postgres, name="firstcome-events", timeouts=no_limits
        )


def _compared(
    campaign_id: int,
    before: bytearray,
    waiting: bytearray,
    told: bytearray,
    after: bytearray,
    whole: bool,
) -> Completeness:
    untold = [at for at, was_issued in enumerate(before) if was_issued and not _at(told, at)]
    waits = sum(_at(waiting, at) for at in untold)
    heard = [at for at, times in enumerate(told) if times]
    return Completeness(
        campaign_id,
        issued=sum(before),
        told=sum(_at(after, at) for at in heard),
        waiting=waits,
        missing=len(untold) - waits if whole else 0,
        repeats=sum(told) - len(heard),
        strangers=sum(not _at(after, at) for at in heard),
        whole=whole,
        untold=ranges_of(campaign_id * (POSITION_MAX + 1) + at for at in untold),
    )


def _at(marks: bytearray, position: int) -> int:
    return marks[position] if position < len(marks) else 0


def _parts(ranges: list[Range]) -> Iterator[Range]:
    for campaign_id, first, end in ranges:
        for begin in range(first, end, REPLAY_EVENTS):
            yield Range(campaign_id, begin, min(end, begin + REPLAY_EVENTS))
