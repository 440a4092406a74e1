"""Emits events for other systems, in order, and knows when the brokers have all of them.

Beside the path: relay -> [eventlog.emitter] -> the topic of issued coupons

One idempotent producer, whose records of one key keep their order, through its own retries too.
Whatever goes wrong, it is thrown away with all that it still holds, and the caller emits the
same events again: a repeat carries the same id.
"""

import logging
import time
from collections.abc import Iterable
from itertools import islice

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from firstcome.errors import LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.issued import CouponIssued, encode
from firstcome.logs import get_logger
from firstcome.settings import KafkaSettings

QUEUE_RECORDS_MAX = 200_000
PART_EVENTS = 500  # encoded at once; reports are served between two parts
FULL_PAUSE_SECONDS = 0.01
PARTITION_BY_KEY = -1
# A client that gives up for good raises when it is next asked. If it has reports to make in that
# moment, Python finds its error in the middle of the first one, and raises another one.
_BROKEN = (KafkaException, SystemError)
log = get_logger()


class Handed:
    """Events handed over together."""

    __slots__ = ("_life", "owed")

    def __init__(self, life: "_Life") -> None:
        self._life = life
        self.owed = 0  # whose report has not come

    def reported(self, error: KafkaError | None, _message: Message) -> None:
        """Take a report of the brokers."""
        self.owed -= 1
        self._life.owed -= 1
        if error is not None:
            self._life.failed = error


class _Life:
    """Of one producer: reports that come after it change nothing."""

    __slots__ = ("failed", "owed")

    def __init__(self) -> None:
        self.owed = 0  # at most: acknowledgements may be told by an empty queue alone
        self.failed: KafkaError | None = None


class Emitter:
    """For one thread. Create it in the process that uses it: forks do not inherit it."""

    def __init__(self, settings: KafkaSettings, *, tells_each: bool = False) -> None:
        """`tells_each`: what `hand_over` returns is told of each acknowledgement.

        Else it is told of failures alone, which saves a tenth: an empty queue without a failure,
        which is what `flush` waits for, means that all were acknowledged.
        """
        self._options = _options(settings) | {"delivery.report.only.error": not tells_each}
        self._topic = topics.coupon_issued(settings)
        self._producer: Producer | None = None
        self._life = _Life()

    @property
    def owed(self) -> int:
        """Events handed over whose report has not come."""
        # The queue holds other news, too.
        return 0 if self._producer is None else min(self._life.owed, len(self._producer))

    def hand_over(self, events: Iterable[CouponIssued], until: float) -> Handed:
        """Give events to the producer, in their order; what is returned tells what is still owed.

        Waits while its queue is full, until a moment of the monotonic clock. Raises LogUnavailable:
        emit again what is not acknowledged.
        """
        handed = Handed(self._life)
        rest = iter(events)
        while part := list(islice(rest, PART_EVENTS)):
            handed.owed += len(part)
            self._life.owed += len(part)
            self._produce(part, handed, until)
            self._serve(0.0)
            self._check(self.owed, until)
        return handed

    def flush(self, until: float) -> None:
        """Return when the brokers have everything handed over. Raises LogUnavailable."""
        left = 0
        if self._producer is not None and self.owed:
            try:
                left = self._producer.flush(max(0.0, until - time.monotonic()))
            except _BROKEN as error:
                raise self._given_up(str(error)) from error
        self._check(left, until=0.0)
        self._life.owed = 0

    def poll(self, timeout_seconds: float = 0.0) -> None:
        """Serve reports. Raises LogUnavailable when an event was not taken."""
        self._serve(timeout_seconds)
        self._check(0, until=0.0)

    def close(self) -> None:
        """Throw the producer away with whatever it holds."""
        producer, self._producer = self._producer, None
        self._life = _Life()
        if producer is not None:
            producer.purge()

    def _produce(self, events: list[CouponIssued], handed: Handed, until: float) -> None:
        topic, produce, reported = self._topic, self._open().produce, handed.reported
        for key, value, headers in encode(events):
            while True:
                try:
                    # By position: to look up names would take the client half a microsecond.
                    produce(topic, value, key, PARTITION_BY_KEY, reported, None, 0, headers)
                except BufferError:
                    self._serve(FULL_PAUSE_SECONDS)
                    self._check(self.owed, until)
                except KafkaException as error:
                    raise self._given_up(str(error)) from error
                else:
                    break

    def _serve(self, timeout_seconds: float) -> None:
        if self._producer is None:
            return
        try:
            self._producer.poll(timeout_seconds)
        except _BROKEN as error:
            raise self._given_up(str(error)) from error

    def _check(self, owed: int, until: float) -> None:
        if self._life.failed is not None:
            raise self._given_up(self._life.failed.str())
        if owed and time.monotonic() >= until:
            raise self._given_up(f"{owed} events were not acknowledged in time")

    def _given_up(self, reason: str) -> LogUnavailable:
        self.close()
        return LogUnavailable(f"events were not published: {reason}")

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._options, logger=_librdkafka)
        return self._producer


_librdkafka = logging.getLogger("librdkafka")


def _options(settings: KafkaSettings) -> dict[str, str | int | float | bool]:
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "firstcome-relay",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": settings.linger_ms,
        # As Java clients do: the same user is in the same partition whoever publishes.
        "partitioner": "murmur2_random",
        # Never given up by the client: what it drops, later events of the same user would overtake.
        "message.timeout.ms": 0,
        "socket.timeout.ms": 10_000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
        "log_level": 3,
    }
