"""The links of one local stack: a TCP proxy on a thread, between its processes and its engines.

One link per role of process and engine, so that a fault hits, say, the api's way to Redis and not
the recorder's. Start the links first, then the stack with `options()`; engines are looked up in
the stack's folder at each connection, so that they may start later and move. Kafka tells its
clients where it is: the broker has a listener for each role, and each listener names a link.
Loopback only; ends with the process that owns it.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from firstcome.drill.link import Counters, Link, free_ports

ROLES = ("api", "recorder", "sweeper", "relay")
ACT_SECONDS = 10.0


class Links:
    """Every link of one stack; passing until told otherwise. Made by `linked()`."""

    def __init__(self, state: Path, brokers: int, seed: int) -> None:
        """`state` is the stack's folder, which need not exist yet."""
        engines = ("redis", "postgres", *(f"kafka-{n}" for n in range(1, brokers + 1)))
        self._identity = state / "identity.json"
        self._loop = asyncio.new_event_loop()
        self._chance = Random(seed)
        self._links: dict[str, Link] = {}
        # A relay has no way to Redis.
        pairs = [each for each in product(ROLES, engines) if each != ("relay", "redis")]
        for (role, engine), port in zip(pairs, free_ports(len(pairs)), strict=True):
            name = f"{role}.{engine}"
            self._links[name] = Link(name, port, self._target(role, engine), self._chance)

    def __getitem__(self, name: str) -> Link:
        """Return one link, such as `api.redis` or `recorder.kafka-1`."""
        return self._links[name]

    def options(self) -> list[str]:
        """Return what makes `firstcome up` go through these links."""
        ports = {name: link.port for name, link in self._links.items()}
        return ["--shape", json.dumps({"links": ports})]

    def to(self, engine: str) -> list[Link]:
        """Return every role's link to `redis`, `postgres` or `kafka`, the latter to all brokers."""
        return [
            link for name, link in self._links.items() if name.partition(".")[2].startswith(engine)
        ]

    def run(self, act: Coroutine[Any, Any, None]) -> None:
        """Do to a link what a coroutine of it says, and return when it is done."""
        asyncio.run_coroutine_threadsafe(act, self._loop).result(ACT_SECONDS)

    def heal(self) -> None:
        """Let every link pass everything."""
        for link in self._links.values():
            self.run(link.heal())

    def counters(self) -> dict[str, Counters]:
        """Return what each link has seen until now."""
        return {name: replace(link.counters) for name, link in self._links.items()}

    def close(self) -> None:
        """End every connection and listener."""
        for link in self._links.values():
            self.run(link.close())

    def serve(self) -> None:
        """Run the event loop, on the calling thread, until it is stopped."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def stop(self) -> None:
        """Let `serve()` return."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _target(self, role: str, engine: str) -> Callable[[], int]:
        port = f"{engine}-{role}" if engine.startswith("kafka") else engine

        def find() -> int:
            try:
                return int(json.loads(self._identity.read_text())["ports"][port])
            except (OSError, ValueError, KeyError) as error:
                raise OSError(f"{port} has no port yet: {error}") from error

        return find


@contextmanager
def linked(state: Path, brokers: int = 1, seed: int = 0) -> Iterator[Links]:
    """Open the links of the stack in `state`, on a thread of their own; close them at the end."""
    links = Links(state, brokers, seed)
    thread = threading.Thread(target=links.serve, name="links", daemon=True)
    thread.start()
    try:
        links.heal()
        yield links
    finally:
        links.close()
        links.stop()
        thread.join(ACT_SECONDS)
