"""Publishes records for processes with a blocking loop, without ever waiting for a broker.

Beside the path: issuance.publication -> [eventlog.publisher] -> the topic of dead letters

A record is published when its report says so; until then its owner keeps it and may hand
it over again: at least once, under an id that makes a repeat harmless. The producer is not
idempotent on purpose: such a one can end for good, and a repeat does no harm here.
"""

import logging
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from firstcome.errors import LogUnavailable
from firstcome.logs import get_logger
from firstcome.settings import KafkaSettings

QUEUE_RECORDS_MAX = 10_000
log = get_logger()


class Publisher:
    """One producer, made when the first record comes. For one thread."""

    def __init__(self, settings: KafkaSettings, topic: str, event_type: str, source: str) -> None:
        self._settings = settings
        self._topic = topic
        self._headers = [
            ("ce_specversion", b"1.0"),
            ("ce_type", event_type.encode()),
            ("ce_source", source.encode()),
            ("content-type", b"application/json"),
        ]
        self._producer: Producer | None = None
        self._under_way: set[int] = set()
        self._published: list[int] = []

    @property
    def under_way(self) -> list[int]:
        """Ids that were handed over and not reported yet."""
        return list(self._under_way)

    def publish(self, id_: int, value: bytes) -> None:
        """Hand a record over, keyed by its id. Raises LogUnavailable: it was not taken."""
        if self._producer is None:
            self._producer = self._new_producer()
        headers: list[tuple[str, str | bytes | None]] = [
            *self._headers,
            ("ce_id", str(id_).encode()),
        ]
        try:
            self._producer.produce(
                self._topic,
                value,
                key=str(id_).encode(),
                headers=headers,
                on_delivery=partial(self._reported, id_),
            )
        except (BufferError, KafkaException) as error:
            raise LogUnavailable(
                f"the record was not handed over: {error}", certain=True
            ) from error
        self._under_way.add(id_)

    def reported(self, timeout_seconds: float = 0.0) -> list[int]:
        """Return the ids that brokers have acknowledged since the last call."""
        if self._producer is not None:
            self._producer.poll(timeout_seconds)
        published, self._published = self._published, []
        return published

    def _reported(self, id_: int, error: KafkaError | None, _: Message) -> None:
        self._under_way.discard(id_)
        if error is None:
            self._published.append(id_)
        else:
            log.warning("publication_failed", id=id_, reason=error.str())

    def _new_producer(self) -> Producer:
        options: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self._settings.bootstrap_servers,
            "client.id": "firstcome-publisher",
            "acks": "all",
            "linger.ms": 5,
            "delivery.timeout.ms": int(self._settings.delivery_timeout_seconds * 1000),
            "reconnect.backoff.max.ms": 1000,
            "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
            "log_level": 3,
        }
        return Producer(options, logger=logging.getLogger("librdkafka"))
