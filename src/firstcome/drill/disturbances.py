"""Faults of links: slow, frozen, cut, reset, refusing; a reply lost, a request torn.

Each proves by the link's counters that it has met traffic: a link that nobody uses at that moment
was not disturbed. A lost reply is that of the step where it hurts most: the admission, the append,
the commit.
"""

from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from random import Random
from typing import Any, NamedTuple

from firstcome.drill.eventually import NotSeen, eventually
from firstcome.drill.faults import Fault, Missed, Move
from firstcome.drill.link import Link
from firstcome.drill.links import Links
from firstcome.settings import RelayMode

HIT_SECONDS = 10.0
DELAY_SECONDS, JITTER_SECONDS = 0.05, 0.1  # both ways, so 0.1 to 0.3 s a round
TORN_BYTES_MAX = 3000

# What the request says whose reply is lost: a script call of the gate, an appended batch of claims
# or of events, a commit.
LOST = {"redis": b"EVALSHA", "kafka": b'"users"', "postgres": b"COMMIT"}
LOST_OF_LINK = {"relay.kafka": b'"user_id"'}
# Links that a drop uses at every moment; the others are silent for long.
BUSY = (
    *("api.redis", "api.kafka", "recorder.redis", "recorder.kafka", "recorder.postgres"),
    *("relay.kafka", "relay.postgres"),
)
# Who appends nothing sends nothing that LOST waits for: recorders, and a relay beside Debezium.
APPENDS_NOTHING = {"recorder.kafka"}
# Kinds that are over as soon as they have hit.
MOMENTARY = {"cut", "reset", "reply lost", "request torn"}


class Act(NamedTuple):
    """One kind: what is done to the link, and the counter that proves it."""

    kind: str
    deed: Callable[[Link], Coroutine[Any, Any, None]]
    counter: str


class Disturbance:
    """One act on one link, for one use."""

    def __init__(self, links: Links, name: str, act: Act) -> None:
        self._links = links
        self._link = links[name]
        self._act = act

    def inject(self) -> str:
        """Disturb a link that is in use, and wait until traffic has met it. Raises Missed."""
        self._grown("bytes_down")
        before = self._counted(self._act.counter)
        self._links.run(self._act.deed(self._link))
        met = self._grown(self._act.counter, before)
        return f"{self._link.name}: {self._act.kind}, {self._act.counter} {met}"

    def heal(self) -> str:
        """Let everything pass; what goes through depends on both ends from now on."""
        self._links.run(self._link.heal())
        return f"{self._link.name}: healed; {self._seen()}"

    def _grown(self, counter: str, before: int | None = None) -> int:
        """Wait until a counter has grown; return by how much."""
        known = self._counted(counter) if before is None else before
        try:
            eventually(
                counter, lambda: self._counted(counter), lambda now: now > known, HIT_SECONDS
            )
        except NotSeen as error:
            raise Missed(f"{self._link.name}: {self._act.kind} met no traffic ({error})") from error
        return self._counted(counter) - known

    def _counted(self, counter: str) -> int:
        return int(getattr(self._link.counters, counter))

    def _seen(self) -> str:
        counters = asdict(self._link.counters)
        return ", ".join(f"{name} {count}" for name, count in counters.items() if count)


def acts(name: str, chance: Random) -> list[Act]:
    """Return every kind of fault for a link, such as `api.kafka-1`."""
    torn = chance.randrange(1, TORN_BYTES_MAX)
    lost = LOST_OF_LINK.get(_numberless(name), LOST[engine_of(name)])
    return [
        Act("slow", lambda link: link.slow(DELAY_SECONDS, JITTER_SECONDS), "delayed"),
        Act("frozen", lambda link: link.freeze(), "held"),
        Act("refusing", lambda link: link.refuse(), "cuts"),
        Act("cut", lambda link: link.cut(), "cuts"),
        Act("reset", lambda link: link.reset(), "resets"),
        Act("reply lost", lambda link: link.drop_reply(lost), "replies_dropped"),
        Act("request torn", lambda link: link.cut_after(torn), "torn"),
    ]


def disturbance(links: Links, name: str, kind: str, chance: Random) -> Disturbance:
    """Return one fault by its names, such as `api.redis` and `frozen`."""
    for act in acts(name, chance):
        if act.kind == kind:
            return Disturbance(links, name, act)
    raise ValueError(f"a link has no fault {kind!r}")


def moves(links: Links, relay: RelayMode = "polling") -> list[Move]:
    """Return what a schedule may do to the busy links; `relay`: who publishes events."""
    silent = APPENDS_NOTHING | ({"relay.kafka"} if relay == "debezium" else set())
    names = [name for name in links.counters() if name.startswith(BUSY)]
    return [
        Move(act.kind, name, partial(_make, links, name, act.kind), act.kind not in MOMENTARY)
        for name in names
        for act in acts(name, Random(0))
        if act.kind != "reply lost" or _numberless(name) not in silent
    ]


def engine_of(name: str) -> str:
    """Return the engine at the end of a link: redis, postgres or kafka."""
    return name.partition(".")[2].partition("-")[0]


def _numberless(name: str) -> str:
    return name.partition("-")[0]


def _make(links: Links, name: str, kind: str, chance: Random, seconds: float) -> Fault:
    return disturbance(links, name, kind, chance)
