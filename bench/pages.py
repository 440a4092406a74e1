"""What open live pages cost a drop: the same drop with none and with ten, in turn.

    python bench/pages.py [--pages 10] [--rate 10000] [--seconds 10] [--rounds 5]

Each page is what a browser holds open: the console's stream of looks, read as it comes. CPU is
that of every process of the system, the console among them, in microseconds a coupon; the
generator and the readers of the pages are not counted. Writes docs/reports/pages-<day>.md. Exit
code 1 when pages cost more than 3 %, or a page saw nothing, or a law was broken.
"""

import argparse
import http.client
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from firstcome.bench.environment import engines, machine
from firstcome.bench.origin import commit
from firstcome.bench.stack import RunningStack, settings_of, started

ROOT = Path(__file__).parents[1]
MORE_MAX = 1.03
WARM_UP = ("--rate", "10000", "--seconds", "15")


class Drop(NamedTuple):
    """What one drop cost, and what its crowd felt."""

    us: float  # CPU of the system, per coupon
    console_us: float
    accepted_per_second: float
    http_p95_ms: float
    issued_p95_ms: float


class Watchers:
    """Pages that are open: each a connection of its own to the stream, in a thread of its own."""

    def __init__(self, stack: RunningStack) -> None:
        self._address = urlsplit(stack.urls["console"])
        key = stack.settings["console"]["operator_key"]
        self._headers = {"Authorization": f"Bearer {key}", "X-Operator": "bench"}
        self._connections: list[http.client.HTTPConnection] = []
        self._threads: list[threading.Thread] = []
        self.looks: list[int] = []

    @contextmanager
    def watching(self, pages: int) -> Iterator[None]:
        """Hold so many pages open."""
        self.looks = [0] * pages
        for number in range(pages):
            self._open(number)
        try:
            yield
        finally:
            for connection in self._connections:
                if connection.sock is not None:
                    connection.sock.shutdown(2)
            for thread in self._threads:
                thread.join(10)
            self._connections, self._threads = [], []

    def _open(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port)
        connection.request("GET", "/live", headers=self._headers)
        response = connection.getresponse()
        if response.status != 200:
            sys.exit(f"the console's stream answered {response.status}: {response.read()!r}")

        def read() -> None:
            # Ends with the connection, in whatever way that shows.
            try:
                while line := response.readline():
                    self.looks[number] += line.startswith(b"data:")
            except (OSError, ValueError, http.client.HTTPException, AttributeError):
                return

        self._connections.append(connection)
        self._threads.append(threading.Thread(target=read, daemon=True))
        self._threads[-1].start()


def main() -> int:
    """Hold the drops and write the page."""
    options = _options()
    without: list[Drop] = []
    with_pages: list[Drop] = []
    looks: list[int] = []
    with (
        tempfile.TemporaryDirectory(prefix="firstcome-pages-") as folder,
        started(Path(folder) / "state", "--auth", "gateway") as stack,
    ):
        environment = machine() | engines(settings_of(stack))
        watchers = Watchers(stack)
        stack.run("drop", *WARM_UP, "--coupons", "150000", "--twice", "0", "--json")
        for number in range(2 * options.rounds):
            # Which is first changes each round: a stack that has issued more costs more a coupon.
            if number % 4 in (0, 3):
                without.append(_drop(stack, options))
                continue
            with watchers.watching(options.pages):
                with_pages.append(_drop(stack, options))
            looks.append(min(watchers.looks))
    text, is_held = page(options, environment, without, with_pages, min(looks))
    path = options.folder / f"pages-{datetime.now(UTC):%Y-%m-%d}.md"
    path.write_text(text)
    print(text)
    print(f"written: {path}", file=sys.stderr)
    return 0 if is_held else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "reports")
    return parser.parse_args()


def _drop(stack: RunningStack, options: argparse.Namespace) -> Drop:
    everybody = ("--twice", "0", "--coupons", str(int(options.rate * options.seconds)), "--json")
    asked = ("--rate", str(options.rate), "--seconds", str(options.seconds))
    report: dict[str, Any] = json.loads(stack.run("drop", *asked, *everybody))
    return Drop(
        report["cpu"]["total"]["us_per_issuance"],
        report["cpu"]["console"]["us_per_issuance"],
        report["accepted_per_second"],
        report["http_accepted_ms"]["p95"],
        report["issued_ms"]["p95"],
    )


def page(
    options: argparse.Namespace,
    environment: dict[str, str],
    without: list[Drop],
    with_pages: list[Drop],
    looks: int,
) -> tuple[str, bool]:
    """Return the report, and whether pages cost as little as promised."""
    more = median(drop.us for drop in with_pages) / median(drop.us for drop in without)
    is_held = more <= MORE_MAX and looks > 0
    titles = ("open pages", "us a coupon", "console us", "accepted/s", "HTTP p95", "ISSUED p95")
    lines = [
        "# What open live pages cost a drop",
        "",
        f"Commit {commit()}. " + " · ".join(f"{k} {v}" for k, v in sorted(environment.items())),
        f"{options.rounds} drops each, in turn, of {options.rate:,} claims a second for "
        f"{options.seconds:g} s, on one stack; the generator and the readers of the pages on the "
        "same machine.",
        "",
        f"| {' | '.join(titles)} |",
        "| --- " * len(titles) + "|",
        f"| none | {' | '.join(_spread(without, field) for field in Drop._fields)} |",
        f"| {options.pages} | {' | '.join(_spread(with_pages, field) for field in Drop._fields)} |",
        "",
        f"CPU of the system a coupon with pages, against without: {more - 1:+.1%} "
        f"(at most {MORE_MAX - 1:.0%}: {'held' if is_held else '**not held**'}). "
        f"Each page got at least {looks} looks a drop. Median (least to most); milliseconds.",
    ]
    return "\n".join(lines) + "\n", is_held


def _spread(drops: list[Drop], field: str) -> str:
    values = [getattr(drop, field) for drop in drops]
    form = "{:,.0f}" if field == "accepted_per_second" else "{:.1f}"
    return (
        f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"
    )


if __name__ == "__main__":
    sys.exit(main())
