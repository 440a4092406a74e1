"""A drop at rest on real engines, written by hand: what a check of the laws may read.

Every campaign holds twelve admitted positions of twenty coupons over two epochs: issued,
cancelled and under review. The tables, keys and records are those that the path itself leaves.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from firstcome.eventlog import issued, topics
from firstcome.eventlog.events import IssuanceRequested, encode
from firstcome.eventlog.issued import CouponIssued
from firstcome.gate import keys
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId, UserId
from firstcome.settings import Settings

STOCK, LAST, BUCKETS = 20, 12, 2
CANCELLED = {5: "HOLE", 11: "DUPLICATE"}
UNDER_REVIEW = 10
REQUESTED_SECONDS_AGO = 600.0
ISSUED_CODE, REVIEW_CODE, CANCELLED_CODE = 1, 2, 3


def user_of(position: int) -> str:
    """Return the user who holds a position."""
    return f"user-{position}"


@dataclass
class KeptDrop:
    """One database, one gate, one topic; `add` puts a consistent campaign into them."""

    settings: Settings
    began_at: float = field(default_factory=lambda: time.time() - REQUESTED_SECONDS_AGO)

    def __post_init__(self) -> None:
        self.database = psycopg.connect(
            self.settings.postgres.url.get_secret_value(), autocommit=True
        )
        self.gate = GateSession.open(self.settings.redis)
        self.topic = topics.issuance_requested(self.settings.kafka)
        servers = {"bootstrap.servers": self.settings.kafka.bootstrap_servers}
        # Kept: its futures die with it.
        self.admin = AdminClient(servers)
        self.events_topic = topics.coupon_issued(self.settings.kafka)
        both = [NewTopic(self.topic, 3, 1), NewTopic(self.events_topic, 3, 1)]
        for made in self.admin.create_topics(both).values():
            made.result(30)
        self.producer = Producer({**servers, "acks": "all", "linger.ms": 0})
        self.campaigns: list[int] = []

    def close(self) -> None:
        """Remove what the engines would keep."""
        for campaign_id in self.campaigns:
            names = self.gate.call("KEYS", f"fc:{{{campaign_id}}}:*")
            if isinstance(names, list) and names:
                self.gate.call("DEL", *names)
        for deleted in self.admin.delete_topics([self.topic, self.events_topic]).values():
            deleted.result(30)
        self.gate.close()
        self.database.close()

    def sql(self, statement: str, *parameters: object) -> None:
        """Run one statement."""
        self.database.execute(statement.encode(), parameters)

    def append(self, value: bytes) -> None:
        """Put one record on the log and wait for its acknowledgement."""
        self.producer.produce(self.topic, value)
        self.producer.flush(30)

    def append_claims(
        self, campaign_id: int, epoch: int, first: int, users: Sequence[str], *, late: float = 0.0
    ) -> None:
        """Put an admitted batch on the log, `late` seconds after the time of its position."""
        times = self.requested_at(first) + late
        self.append(encode(IssuanceRequested(campaign_id, epoch, first, list(users), [], times)))

    def requested_at(self, position: int) -> float:
        """Return when a position was requested, in seconds since 1970."""
        return self.began_at + position * 0.01

    def add(self, campaign_id: int, *, engine: str = "kafka") -> None:
        """Add a campaign that breaks no law."""
        self.campaigns.append(campaign_id)
        gated = engine != "direct"
        self.sql(
            "INSERT INTO campaigns (campaign_id, name, engine, stock, position_limit,"
            " position_last, epoch, version) OVERRIDING SYSTEM VALUE"
            " VALUES (%s, 'kept', %s, %s, %s, %s, %s, 3)",
            *(campaign_id, engine, STOCK, STOCK + len(CANCELLED)),
            *((0, 2) if gated else (LAST, 0)),
        )
        self.audit(campaign_id, "create", stock=STOCK)
        if gated:
            for epoch, last in ((1, 5), (2, None)):
                self.sql(
                    "INSERT INTO epochs (campaign_id, epoch, last_position, buckets)"
                    " VALUES (%s, %s, %s, %s)",
                    *(campaign_id, epoch, last, BUCKETS),
                )
        self._add_rows(campaign_id, gated)
        if gated:
            self._add_gate(campaign_id)
        if engine == "kafka":
            self._add_records(campaign_id)

    def _add_rows(self, campaign_id: int, gated: bool) -> None:
        for position in range(1, LAST + 1):
            epoch = (1 if position <= 5 else 2) if gated else 0
            reason = CANCELLED.get(position)
            user = None if reason == "HOLE" else user_of(position)
            status = "CANCELLED" if reason else "ISSUED"
            if position == UNDER_REVIEW:
                status = "UNDER_REVIEW"
            self.add_row(campaign_id, position, user, status=status, reason=reason, epoch=epoch)
        self.list(campaign_id, "{[6,10)}")
        self.note(campaign_id, "{[1,5),[12,13)}")
        # The relay has published position 8 and died before it could say so, and 1 twice.
        for position in (1, 2, 3, 4, 12, 8, 1):
            self.tell(campaign_id, position, user_of(position))
        self.set_aside(campaign_id, UNDER_REVIEW, user_of(UNDER_REVIEW))

    def add_row(
        self,
        campaign_id: int,
        position: int,
        user: str | None,
        *,
        status: str = "ISSUED",
        reason: str | None = None,
        epoch: int = 2,
    ) -> None:
        """Insert one row, recorded as long ago as it was requested."""
        requested = None if reason else self.requested_at(position)
        self.sql(
            "INSERT INTO issuances (campaign_id, position, requested_at, recorded_at, version,"
            " epoch, status, user_id, reason)"
            " VALUES (%s, %s, to_timestamp(%s), to_timestamp(%s), %s, %s, %s, %s, %s)",
            *(campaign_id, position, requested, self.began_at + 1, 2 if reason else None),
            *(epoch, status, user, reason),
        )

    def audit(self, campaign_id: int, action: str, **detail: object) -> None:
        """Add one audit row."""
        self.sql(
            "INSERT INTO audit (actor, action, campaign_id, detail) VALUES ('me', %s, %s, %s)",
            *(f"campaign.{action}", campaign_id, json.dumps(detail)),
        )

    def audit_decisions(self, campaign_id: int) -> None:
        """Add an audit row for each decided dead letter of the campaign."""
        self.sql(
            "INSERT INTO audit (actor, action, campaign_id, detail)"
            " SELECT 'me', CASE state WHEN 'REDRIVEN' THEN 'dead_letter.redrive'"
            " ELSE 'dead_letter.discard' END, campaign_id,"
            " jsonb_build_object('dead_letter_id', dead_letter_id)"
            " FROM dead_letters WHERE state <> 'QUARANTINED' AND campaign_id = %s",
            campaign_id,
        )

    def list(self, campaign_id: int, positions: str) -> None:
        """Add one outbox row."""
        self.sql(
            "INSERT INTO outbox (campaign_id, positions) VALUES (%s, %s::int8multirange)",
            *(campaign_id, positions),
        )

    def note(self, campaign_id: int, positions: str) -> None:
        """Let positions count as published."""
        self.sql(
            "INSERT INTO published AS p (campaign_id, positions) VALUES (%s, %s::int8multirange)"
            " ON CONFLICT (campaign_id) DO UPDATE SET positions = p.positions + excluded.positions",
            *(campaign_id, positions),
        )

    def tell(self, campaign_id: int, position: int, user: str) -> None:
        """Publish the event of a coupon, whether or not it was issued."""
        requested = datetime.fromtimestamp(self.requested_at(position), UTC)
        event = CouponIssued(campaign_id, position, user, requested, requested)
        [(_, value, _)] = issued.encode([event])
        self.tell_bytes(value)

    def tell_bytes(self, value: bytes) -> None:
        """Put anything on the topic of events."""
        self.producer.produce(self.events_topic, value)
        self.producer.flush(30)

    def set_aside(
        self,
        campaign_id: int | None,
        position: int | None,
        user: str | None,
        *,
        state: str = "QUARANTINED",
        offset: tuple[int, int] | None = None,
    ) -> None:
        """Add one dead letter; `offset`: partition and offset of its record."""
        origin: tuple[Any, ...] = (self.topic, *offset) if offset else (None, None, None)
        self.sql(
            "INSERT INTO dead_letters (state, campaign_id, position, user_id, topic, partition,"
            ' "offset", reason, detail) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)',
            *(state, campaign_id, position, user, *origin, "REJECTED", "planted"),
        )

    def _add_gate(self, campaign_id: int) -> None:
        field_ = keys.epoch_field(2, self.gate.run_id)
        self.write_gate(
            campaign_id,
            *("epoch", field_, "version", 3, "state", "OPEN", "opens_at", "", "closes_at", ""),
            *("buckets", BUCKETS, "position_last", LAST, "position_limit", STOCK + len(CANCELLED)),
        )
        for position in range(1, LAST + 1):
            if position in CANCELLED:
                self.settle(campaign_id, position, CANCELLED_CODE)
                continue
            # Every other request came with an Idempotency-Key.
            packed = position if position % 2 else -(position * 2**24 + 77)
            self.hold(campaign_id, user_of(position), packed)
            review = position == UNDER_REVIEW
            self.settle(campaign_id, position, REVIEW_CODE if review else ISSUED_CODE)
        self.journal(campaign_id, LAST, [user_of(LAST)])

    def write_gate(self, campaign_id: int, *pairs: str | int) -> None:
        """Set fields of the gate's hash."""
        self.gate.call("HSET", keys.gate(CampaignId(campaign_id)), *pairs)

    def hold(self, campaign_id: int, user: str, packed: int, *, bucket: int | None = None) -> None:
        """Give a user a place in the gate."""
        self.gate.call("HSET", self._bucket(campaign_id, user, bucket), user, packed)

    def let_go(self, campaign_id: int, user: str) -> None:
        """Take a user's place in the gate away."""
        self.gate.call("HDEL", self._bucket(campaign_id, user, None), user)

    def other_bucket(self, user: str) -> int:
        """Return a bucket that is not the user's."""
        return 1 - keys.bucket_of(UserId(user), BUCKETS)

    def _bucket(self, campaign_id: int, user: str, bucket: int | None) -> str:
        number = keys.bucket_of(UserId(user), BUCKETS) if bucket is None else bucket
        return f"{keys.users_prefix(CampaignId(campaign_id), 2)}{number}"

    def settle(self, campaign_id: int, position: int, code: int) -> None:
        """Write a position's settled bits, whatever they were."""
        name = keys.settled(CampaignId(campaign_id), 2)
        self.gate.call("BITFIELD", name, "SET", "u2", f"#{position}", code)

    def journal(
        self,
        campaign_id: int,
        first: int,
        users: Sequence[str],
        *,
        epoch: int = 2,
        at: float | None = None,
    ) -> None:
        """Write a journal entry; an older one of the same journal makes room."""
        name = keys.journal(CampaignId(campaign_id), epoch)
        self.gate.call("DEL", name)
        requested_at = self.requested_at(first) if at is None else at
        entry = ("u", " ".join(users), "a", "", "t", f"{requested_at:.6f}")
        self.gate.call("XADD", name, f"{first}-0", *entry)

    def _add_records(self, campaign_id: int) -> None:
        self.append_claims(campaign_id, 1, 1, [user_of(one) for one in range(1, 5)])
        # Appended by a process that the rebuild has fenced.
        self.append_claims(campaign_id, 1, 6, ["fenced-6", "fenced-7"])
        for _ in range(2):  # a batch may be appended twice
            self.append_claims(campaign_id, 2, 6, [user_of(one) for one in range(6, 10)])
        self.append_claims(campaign_id, 2, 10, [user_of(10), user_of(11)])
        self.append(b"")
        self.append_claims(campaign_id, 2, 12, [user_of(12)])
