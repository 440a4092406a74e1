"""The consumer groups, and the options of their members.

Every option is spelled out where the client's default is not what we rely on.
"""

from typing import NamedTuple

from firstcome.eventlog import topics
from firstcome.settings import KafkaSettings


class Group(NamedTuple):
    """Who reads a topic together."""

    group_id: str
    topic: str
    client_id: str


def recorders(settings: KafkaSettings) -> Group:
    """Return the group that records admitted batches."""
    return Group(settings.group_id, topics.issuance_requested(settings), "firstcome-recorder")


def confirmers(settings: KafkaSettings, group_id: str) -> Group:
    """Return the group that reads events for other systems back."""
    return Group(group_id, topics.coupon_issued(settings), "firstcome-relay")


def consumer_options(settings: KafkaSettings) -> dict[str, str | int | bool]:
    """Return librdkafka's options, each spelled out where its default is not what we rely on."""
    options: dict[str, str | int | bool] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        # A recorder that holds a batch keeps polling, so only a stuck one is silent so long.
        "max.poll.interval.ms": 60_000,
        "fetch.min.bytes": 1,
        "fetch.wait.max.ms": 50,
        # When the queue was full, fetch again at once instead of after a second.
        "fetch.queue.backoff.ms": 10,
        "queued.max.messages.kbytes": 16_384,
        "socket.keepalive.enable": True,
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "log_level": 3,
    }
    if settings.profile == "source":
        options |= {"max.poll.interval.ms": 300_000}
        return options | _classic(session_ms=30_000, heartbeat_ms=3000)
    if settings.group_protocol == "classic":
        return options | _classic(session_ms=10_000, heartbeat_ms=3000)
    # The broker keeps this protocol's times; the client's settings for them must be absent.
    return options | {"group.protocol": "consumer"}


def _classic(*, session_ms: int, heartbeat_ms: int) -> dict[str, str | int | bool]:
    return {
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": heartbeat_ms,
    }
