"""Emits events for other systems, in order, and knows when the brokers have all of them.

Beside the path: relay -> [eventlog.emitter] -> the topic of issued coupons

One idempotent producer, whose records of one key keep their order, through its own retries too.
Whatever goes wrong, it is thrown away with all that it still holds, and the caller emits the
same events again: a repeat carries the same id.
"""

import logging
import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from firstcome.errors import LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.issued import CouponIssued, encode
from firstcome.logs import get_logger
from firstcome.settings import KafkaSettings

QUEUE_RECORDS_MAX = 200_000
POLL_EVERY_RECORDS = 500
FULL_PAUSE_SECONDS = 0.01
log = get_logger()


class Handed:
    """Events handed over together."""

    __slots__ = ("_tally", "owed")

    def __init__(self, tally: "_Tally") -> None:
        self._tally = tally
        self.owed = 0  # whose report has not come

    def reported(self, error: KafkaError | None, _message: Message) -> None:
        """Count a report of the brokers."""
        self.owed -= 1
        self._tally.owed -= 1
        if error is not None:
            self._tally.failed = error


class _Tally:
    """Of one producer's life: reports that come after it change nothing."""

    __slots__ = ("failed", "owed")

    def __init__(self) -> None:
        self.owed = 0
        self.failed: KafkaError | None = None


class Emitter:
    """For one thread. Create it in the process that uses it: forks do not inherit it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = topics.coupon_issued(settings)
        self._producer: Producer | None = None
        self._tally = _Tally()

    @property
    def owed(self) -> int:
        """Events handed over whose report has not come."""
        return self._tally.owed

    def hand_over(self, events: Iterable[CouponIssued], until: float) -> Handed:
        """Give events to the producer, in their order; what is returned tells what is still owed.

        Waits while its queue is full, until a moment of the monotonic clock. Raises LogUnavailable:
        emit again what is not acknowledged.
        """
        producer = self._open()
        handed = Handed(self._tally)
        for count, event in enumerate(events, 1):
            key, value, headers = encode(event)
            while True:
                try:
                    producer.produce(
                        self._topic, value, key=key, headers=headers, on_delivery=handed.reported
                    )
                except BufferError:
                    producer.poll(FULL_PAUSE_SECONDS)
                    self._check(until)
                except KafkaException as error:
                    raise self._given_up(str(error)) from error
                else:
                    break
            handed.owed += 1
            self._tally.owed += 1
            if count % POLL_EVERY_RECORDS == 0:
                self._serve(0.0)
                self._check(until)
        return handed

    def flush(self, until: float) -> None:
        """Return when the brokers have everything handed over. Raises LogUnavailable."""
        if self._producer is not None and self._tally.owed:
            try:
                self._producer.flush(max(0.0, until - time.monotonic()))
            except KafkaException as error:
                raise self._given_up(str(error)) from error
        self._check(0.0)

    def poll(self, timeout_seconds: float = 0.0) -> None:
        """Serve reports. Raises LogUnavailable when an event was not taken."""
        self._serve(timeout_seconds)
        if self._tally.failed is not None:
            raise self._given_up(self._tally.failed.str())

    def close(self) -> None:
        """Throw the producer away with whatever it holds."""
        producer, self._producer = self._producer, None
        self._tally = _Tally()
        if producer is not None:
            producer.purge()

    def _serve(self, timeout_seconds: float) -> None:
        if self._producer is None:
            return
        try:
            self._producer.poll(timeout_seconds)
        except KafkaException as error:
            raise self._given_up(str(error)) from error

    def _check(self, until: float) -> None:
        if self._tally.failed is not None:
            raise self._given_up(self._tally.failed.str())
        if self._tally.owed and time.monotonic() >= until:
            raise self._given_up(f"{self._tally.owed} events were not acknowledged in time")

    def _given_up(self, reason: str) -> LogUnavailable:
        self.close()
        return LogUnavailable(f"events were not published: {reason}")

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(_options(self._settings), logger=_librdkafka)
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
