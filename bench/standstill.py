"""A drop while the relay works, and while it stands still: nothing may wait for it.

Part of bench/events.py. In turn, on one stack, as often as asked; then the relay goes on.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import psutil

from firstcome.bench.stack import RunningStack


class Drop(NamedTuple):
    """What a crowd felt."""

    accepted_per_second: float
    http_p95_ms: float
    issued_p95_ms: float
    us: float  # CPU of all processes but the relay and the generator, per coupon
    backlog: int  # events that waited at its end


class Standstill(NamedTuple):
    """The same drop, so and so."""

    works: list[Drop]
    stands: list[Drop]

    def lines(self) -> list[str]:
        """Return the part of the report."""
        titles = (
            "the relay",
            "accepted/s",
            "HTTP p95 ms",
            "ISSUED p95 ms",
            "us a coupon",
            "waiting",
        )
        lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
        for name, drops in (("works", self.works), ("stands still", self.stands)):
            cells = [_spread(drops, field) for field in Drop._fields]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return lines

    def failures(self) -> list[str]:
        """Return what is not as promised."""
        said = []
        rates = [median(d.accepted_per_second for d in drops) for drops in self]
        if rates[1] < 0.99 * rates[0]:
            said.append(
                f"{rates[1]:,.0f} claims a second while it stands still, not {rates[0]:,.0f}"
            )
        if not all(drop.backlog for drop in self.stands):
            said.append("nothing waited while the relay stood still")
        return said


def standstill(
    stack: RunningStack, roles: tuple[str, ...], rate: int, seconds: float, rounds: int
) -> Standstill:
    """Let drops run in turn with and without the relay."""
    found = Standstill([], [])
    for _ in range(rounds):
        found.works.append(_drop(stack, rate, seconds))
        with _still(stack, roles):
            found.stands.append(_drop(stack, rate, seconds))
        while _waiting(stack):
            time.sleep(0.1)
    return found


@contextmanager
def _still(stack: RunningStack, roles: tuple[str, ...]) -> Iterator[None]:
    processes = [psutil.Process(each["pid"]) for each in stack.processes() if each["role"] in roles]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def _drop(stack: RunningStack, rate: int, seconds: float) -> Drop:
    everybody = ("--twice", "0", "--coupons", str(int(rate * seconds)), "--seed", "1", "--json")
    # Exit code 1: law L4 waits for the relay.
    text = stack.run(
        *("drop", "--rate", str(rate), "--seconds", str(seconds), *everybody), exit_code=None
    )
    report: dict[str, Any] = json.loads(text)
    beside = ("relay", "connect", "total")
    return Drop(
        report["accepted_per_second"],
        report["http_accepted_ms"]["p95"],
        report["issued_ms"]["p95"],
        sum(each["us_per_issuance"] for role, each in report["cpu"].items() if role not in beside),
        _waiting(stack),
    )


def _waiting(stack: RunningStack) -> int:
    return int(stack.operate("GET", "/v1/overview").json["outbox"]["events"])


def _spread(drops: list[Drop], field: str) -> str:
    values = [getattr(drop, field) for drop in drops]
    form = "{:,.0f}" if field in ("accepted_per_second", "backlog") else "{:.1f}"
    return (
        f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"
    )
