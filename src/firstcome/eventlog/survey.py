"""What the brokers say of themselves and of our topics, in one look. For the doctor.

Blocking, reads only. Which version a broker is it does not say; what it can do is known
from the requests that it takes.
"""

import socket
import struct
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
)

from firstcome.errors import LogUnavailable
from firstcome.eventlog import topics
from firstcome.settings import KafkaSettings

REPLY_TIMEOUT_SECONDS = 5.0
API_VERSIONS, CONSUMER_GROUP_HEARTBEAT = 18, 68


class TopicFacts(NamedTuple):
    """A topic as it is; `config` holds the brokers' names and values."""

    partitions: int
    replicas_min: int
    leaderless: int
    config: dict[str, str | None]


class Survey(NamedTuple):
    """The cluster; a topic that does not exist is None."""

    brokers: int
    topics: dict[str, TopicFacts | None]


def survey(settings: KafkaSettings) -> Survey:
    """Look once. Raises LogUnavailable."""
    client = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    try:
        found = client.list_topics(timeout=REPLY_TIMEOUT_SECONDS)
        wanted = {name: found.topics.get(name) for name in topics.retention_ms(settings)}
        facts: dict[str, TopicFacts | None] = {}
        for name, topic in wanted.items():
            if topic is None:
                facts[name] = None
                continue
            parts = topic.partitions.values()
            facts[name] = TopicFacts(
                partitions=len(topic.partitions),
                replicas_min=min((len(part.replicas) for part in parts), default=0),
                leaderless=sum(part.leader < 0 for part in parts),
                config=_config(client, name),
            )
    except (KafkaException, TimeoutError) as error:
        said = error.args[0] if error.args else "nothing in time"
        raise LogUnavailable(
            f"no broker answered at {settings.bootstrap_servers}: {said}", certain=True
        ) from error
    return Survey(len(found.brokers), facts)


def speaks_new_groups(settings: KafkaSettings) -> bool | None:
    """Return whether the first broker knows KIP-848 groups; None when it does not say plainly."""
    host, _, port = settings.bootstrap_servers.split(",")[0].rpartition(":")
    request = struct.pack(">ihhih", 10, API_VERSIONS, 0, 1, -1)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REPLY_TIMEOUT_SECONDS) as link:
            link.sendall(request)
            reply = link.makefile("rb")
            (size,) = struct.unpack(">i", reply.read(4))
            body = reply.read(size)
        count = struct.unpack_from(">i", body, 6)[0]
        keys = [struct.unpack_from(">h", body, 10 + 6 * index)[0] for index in range(count)]
    except (OSError, ValueError, struct.error):
        return None
    return CONSUMER_GROUP_HEARTBEAT in keys


def _config(client: AdminClient, topic: str) -> dict[str, str | None]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (future,) = client.describe_configs([resource], request_timeout=REPLY_TIMEOUT_SECONDS).values()
    return {name: entry.value for name, entry in future.result(REPLY_TIMEOUT_SECONDS).items()}
