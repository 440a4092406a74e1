"""Detours for fault drills: the processes of one role reach an engine through another port.

A shape names links as `<role>.<engine>`: port. What stands at that port (a proxy that breaks
things) is not the stack's affair. Kafka sends its clients to the address that it advertises, so
each linked role has a listener of its own on each broker, which advertises the link.
"""

from collections.abc import Mapping

from firstcome.local import kafka, postgres, redis
from firstcome.local.identity import Identity

REDIS = "FIRSTCOME_REDIS__URL"
POSTGRES = "FIRSTCOME_POSTGRES__URL"
BOOTSTRAP = "FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS"

Links = Mapping[str, int]


def environment(links: Links, role: str, identity: Identity) -> dict[str, str]:
    """Return the addresses that processes of this role have to use instead of the engines' own."""
    brokers = [port for name, port in links.items() if name.startswith(f"{role}.kafka-")]
    addresses: dict[str, str] = {}
    if port := links.get(f"{role}.redis"):
        addresses[REDIS] = redis.url(port, identity.redis_password)
    if port := links.get(f"{role}.postgres"):
        addresses[POSTGRES] = postgres.url(port, identity.postgres_password)
    if brokers:
        addresses[BOOTSTRAP] = ",".join(f"127.0.0.1:{port}" for port in brokers)
    return addresses


def listeners(links: Links, number: int, identity: Identity) -> tuple[kafka.Listener, ...]:
    """Return the further listeners of one broker."""
    ends = [name.split(".") for name in links]
    return tuple(
        kafka.Listener(role.upper(), identity.ports[f"{engine}-{role}"], links[f"{role}.{engine}"])
        for role, engine in ends
        if engine == f"kafka-{number}"
    )


def port_names(links: Links) -> list[str]:
    """Return the names of the ports that brokers need for these links."""
    ends = [name.split(".") for name in links]
    return [f"{engine}-{role}" for role, engine in ends if engine.startswith("kafka-")]
