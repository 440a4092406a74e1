"""What a drop is to do, what one process of the generator is told, and the bytes it sends.

The whole plan travels over a pipe, because it holds the key that signs tokens.
Only this machine is ever asked: a load generator aimed elsewhere is a weapon.
"""

import ipaddress
from array import array

import msgspec

from firstcome.bench.arrivals import Arrivals
from firstcome.bench.crowd import KEYED, Crowd, idempotency_key, user_id
from firstcome.bench.tokens import Signer
from firstcome.errors import Refused


class Asked(msgspec.Struct, frozen=True):
    """What a drop is to do: who asks when, and for how much."""

    coupons: int
    crowd: Crowd
    arrivals: Arrivals
    engine: str = "kafka"
    connections: int = 256
    processes: int = 1
    timeout_seconds: float = 10.0  # for an answer, and before that for a free connection
    campaign_id: int | None = None  # one that nobody has asked yet; None: new ones are made


class Plan(msgspec.Struct, frozen=True):
    """What one process of the generator has to do: every `shares`-th request, from `share` on."""

    host: str
    port: int
    campaign_ids: list[int]
    crowd: Crowd
    arrivals: Arrivals
    signer: Signer
    answers_file: str
    connections: int = 256
    share: int = 0
    shares: int = 1
    # Use connections in turn, so that none is idle for so long that the server closes it.
    rotating: bool = False
    timeout_seconds: float = 10.0
    # A user with a key asks again this long: the time in which every claim becomes final.
    patience_seconds: float = 60.0


class Said(msgspec.Struct, omit_defaults=True):
    """One line of a generator process: how far it is."""

    state: str  # ready, running, done
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    overloaded: int = 0  # of the failed
    cpu_seconds: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0
    heard: dict[str, int] = {}  # every answer by code, also those after which a user asked again


def check_loopback(host: str) -> str:
    """Return the address to connect to. Raises Refused for any machine but this one."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is not None and address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    if address is None or not address.is_loopback:
        raise Refused(
            f"the load generator asks loopback addresses only, not {host}: nothing was sent; "
            "start the stack on this machine (firstcome up)"
        )
    return str(address)


def contents(plan: Plan, order: "array[int]") -> list[bytes]:
    """Return the bytes of each request; the two of one user share theirs."""
    header = plan.signer.headers()
    traits = plan.crowd.traits()
    heads = [
        b"POST /v1/campaigns/%d/issuances HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: 0\r\n"
        % (campaign_id, plan.host.encode(), plan.port)
        for campaign_id in plan.campaign_ids
    ]
    made: list[bytes] = []
    before = -1
    for user in order:
        if user != before:
            key = b""
            if traits[user] & KEYED:
                key = b"Idempotency-Key: %s\r\n" % idempotency_key(plan.crowd.seed, user).encode()
            head = heads[plan.crowd.campaign_of(user)]
            content = b"".join((head, header(user_id(user)), key, b"\r\n"))
        before = user
        made.append(content)
    return made
