"""What events cost and how soon they are told, for each relay; written to docs/reports/.

    python bench/events.py [--relays polling,wal,debezium] [--rate 2000] [--seconds 20]
        [--backlog 500000] [--rounds 3] [--full-rate 8000]

Each relay has a fresh stack. Delay: from the commit that made the coupon a row, by PostgreSQL, to
the moment at which the broker appended its event, by the broker; both by this machine's clock, in
whole milliseconds. Catching up: the publishers stand still, coupons are written as a recorder
writes them, then they go on; until the outbox is empty. The outbox's cost: a recorder's
transaction with and without its row of the outbox, in turn; CPU of client and session. Standing
still: the same drop with the publishers at work and standing still, in turn.
Exit code 1 when an event is missing or a goal is not met.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import psutil
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from standstill import Standstill, standstill

from firstcome import postgres
from firstcome.bench.environment import engines, machine
from firstcome.bench.origin import commit
from firstcome.bench.stack import RunningStack, settings_of, started
from firstcome.eventlog import issued, topics
from firstcome.eventlog.events import IssuanceRequested
from firstcome.issuance import transaction
from firstcome.issuance.batch import Batch
from firstcome.issuance.transaction import Transaction
from firstcome.settings import KafkaSettings, Settings

ROOT = Path(__file__).parents[1]
PUBLISHERS = {"polling": ("relay",), "wal": ("relay",), "debezium": ("connect", "relay")}
DELAY_P95_MS = {"polling": 100.0, "wal": 20.0, "debezium": 200.0}
CATCH_UP_PER_SECOND = {"polling": 50_000, "wal": 50_000}
OUTBOX_SHARE_MAX = 0.10
WARM_UP = ("--rate", "2000", "--seconds", "10")
ROWS_OF_A_TRANSACTION = 1000
CLAIMS_OF_A_RECORD = 60
PATIENCE_SECONDS = 300.0
FULL_SECONDS = 6.0


class Found(NamedTuple):
    """What one relay did."""

    relay: str
    events: int
    missing: int
    repeats: int
    delay_ms: tuple[float, float, float]  # p50, p95, p99
    caught_up: int
    caught_up_seconds: float
    us_by_role: dict[str, float]  # CPU of the drop, per coupon
    standstill: Standstill

    @property
    def caught_up_per_second(self) -> float:
        """Events a second while catching up."""
        return self.caught_up / self.caught_up_seconds

    def failures(self) -> list[str]:
        """Return the goals that were missed, one sentence each."""
        said = [f"{self.relay}: {self.missing} events are missing"] * bool(self.missing)
        if self.delay_ms[1] > DELAY_P95_MS[self.relay]:
            goal = DELAY_P95_MS[self.relay]
            said.append(f"{self.relay}: p95 of {self.delay_ms[1]:.0f} ms, not {goal:g} ms")
        if self.caught_up_per_second < CATCH_UP_PER_SECOND.get(self.relay, 0):
            said.append(f"{self.relay}: catches up by {self.caught_up_per_second:,.0f} a second")
        said += [f"{self.relay}: {each}" for each in self.standstill.failures()]
        return said


def main() -> int:
    """Measure, and write the report; 0 when nothing is missing and every goal is met."""
    options = _options()
    found = [_measured(relay, options) for relay in options.relays.split(",")]
    with_outbox, without, environment = _outbox_cost(options.rounds)
    share = 1 - median(without) / median(with_outbox)
    failures = [each for one in found for each in one.failures()]
    if share > OUTBOX_SHARE_MAX:
        failures.append(f"the outbox is {share:.1%} of a recorder's CPU")
    text = page(found, (with_outbox, without, share), environment, failures, options)
    path = options.folder / f"events-{datetime.now(UTC):%Y-%m-%d}.md"
    options.folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text)
    print(f"written: {path}", file=sys.stderr)
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--relays", default=",".join(PUBLISHERS))
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--backlog", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full-rate", type=int, default=8000)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "reports")
    return parser.parse_args()


def _measured(relay: str, options: argparse.Namespace) -> Found:
    with _stack("--auth", "gateway", "--relay", relay) as stack:
        settings = settings_of(stack)
        _stamp_by_the_broker(settings.kafka)
        _drop(stack, *WARM_UP, coupons=20_000)
        coupons = int(options.rate * options.seconds)
        report = _drop(
            stack,
            *("--rate", str(options.rate), "--seconds", str(options.seconds)),
            coupons=coupons,
        )
        (campaign_id,) = report["campaign_ids"]
        _await_empty_outbox(settings)
        appended, repeats = _appended(settings.kafka, campaign_id)
        committed = _committed(settings, campaign_id)
        delays = sorted(
            (appended[position] - at) * 1e3
            for position, at in committed.items()
            if position in appended
        )
        _say(f"{relay}: {len(delays)} delays; catching up with {options.backlog:,}")
        seconds = _caught_up(stack, settings, PUBLISHERS[relay], options.backlog)
        (check,) = stack.said("events", "check", str(campaign_id))["campaigns"]
        _say(f"{relay}: drops with and without it")
        still = standstill(
            stack, PUBLISHERS[relay], options.full_rate, FULL_SECONDS, options.rounds
        )
        return Found(
            relay,
            len(appended),
            len(committed.keys() - appended.keys()) + check["missing"],
            repeats,
            (_at(delays, 0.50), _at(delays, 0.95), _at(delays, 0.99)),
            options.backlog,
            seconds,
            {role: each["us_per_issuance"] for role, each in report["cpu"].items()},
            still,
        )


@contextmanager
def _stack(*options: str) -> Iterator[RunningStack]:
    with tempfile.TemporaryDirectory(prefix="firstcome-events-") as folder:
        _say(f"starting a stack: {' '.join(options)}")
        with started(Path(folder) / "state", *options) as stack:
            yield stack


def _drop(stack: RunningStack, *options: str, coupons: int) -> dict[str, Any]:
    everybody = ("--twice", "0", "--coupons", str(coupons), "--seed", "1")
    found: dict[str, Any] = json.loads(stack.run("drop", *options, *everybody, "--json"))
    return found


def _stamp_by_the_broker(kafka: KafkaSettings) -> None:
    """Let the broker write the time of its append into each record."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    entry = ConfigEntry(
        "message.timestamp.type",
        "LogAppendTime",
        incremental_operation=AlterConfigOpType.SET,
    )
    topic = ConfigResource(
        ResourceType.TOPIC, topics.coupon_issued(kafka), incremental_configs=[entry]
    )
    for future in admin.incremental_alter_configs([topic]).values():
        future.result(20)


def _appended(kafka: KafkaSettings, campaign_id: int) -> tuple[dict[int, float], int]:
    """Return when the first event of each position was appended, and how many were repeats."""
    topic = topics.coupon_issued(kafka)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "bench"})
    first: dict[int, float] = {}
    repeats = 0
    with closing(consumer):
        numbers = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        bounds = [
            consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
            for number in numbers
        ]
        left = sum(end - begin for begin, end in bounds)
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        while left > 0:
            for message in consumer.consume(5000, timeout=1.0):
                left -= 1
                event = issued.decode(message.value())
                if event.campaign_id != campaign_id:
                    continue
                at = message.timestamp()[1] / 1e3
                repeats += event.position in first
                first[event.position] = min(at, first.get(event.position, at))
    return first, repeats


def _committed(settings: Settings, campaign_id: int) -> dict[int, float]:
    """Return when the commit of each position was, by the server."""
    query = postgres.queries("drop")["rows_committed"]
    with postgres.connect(settings.postgres) as connection:
        rows = connection.execute(query, {"campaign_id": campaign_id}).fetchall()
    return {position: at for position, _, status, at in rows if status == "ISSUED"}


def _caught_up(
    stack: RunningStack, settings: Settings, roles: tuple[str, ...], backlog: int
) -> float:
    """Return how long it took until nothing waited, from the moment at which they went on."""
    still = [psutil.Process(each["pid"]) for each in stack.processes() if each["role"] in roles]
    for process in still:
        process.suspend()
    try:
        _issue(settings, backlog)
    finally:
        for process in still:
            process.resume()
    began = time.monotonic()
    _await_empty_outbox(settings)
    return time.monotonic() - began


def _issue(settings: Settings, rows: int) -> None:
    """Write coupons as a recorder does, as fast as the database takes them."""
    random = Random(1)  # noqa: S311 - repeatable users
    users = [f"{number:010d}" for number in random.sample(range(10**10), rows)]
    with postgres.connect(settings.postgres) as connection:
        campaign_id = _campaign(connection, rows)
        _record(connection, campaign_id, users)


def _campaign(connection: postgres.Connection, rows: int) -> int:
    with postgres.transaction(connection):
        row = connection.execute(
            "INSERT INTO campaigns (name, engine, stock, position_limit, epoch, state)"
            " VALUES ('bench', 'kafka', %s, %s, 1, 'ARCHIVED') RETURNING campaign_id",
            (rows, rows),
        ).fetchone()
        if row is None:
            sys.exit("the campaign was not made")
        connection.execute("INSERT INTO epochs VALUES (%s, 1, NULL, 1)", (row[0],))
    return int(row[0])


def _record(connection: postgres.Connection, campaign_id: int, users: list[str]) -> None:
    for begin in range(0, len(users), ROWS_OF_A_TRANSACTION):
        end = min(len(users), begin + ROWS_OF_A_TRANSACTION)
        batches = [
            Batch(
                IssuanceRequested(
                    *(campaign_id, 1, at + 1, users[at : min(at + CLAIMS_OF_A_RECORD, end)]),
                    *([], time.time()),
                )
            )
            for at in range(begin, end, CLAIMS_OF_A_RECORD)
        ]
        with postgres.transaction(connection):
            Transaction(connection, all_new=True).record(batches)


def _await_empty_outbox(settings: Settings) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    query = "SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)"
    with postgres.connect(settings.postgres) as connection:
        connection.autocommit = True
        while connection.execute(query).fetchone() == (True,):
            if time.monotonic() > until:
                sys.exit("the outbox did not become empty")
            time.sleep(0.02)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _outbox_cost(rounds: int) -> tuple[list[float], list[float], dict[str, str]]:
    """Return microseconds of CPU a row with the outbox, and without it, one for each round."""
    costs: dict[bool, list[float]] = {True: [], False: []}
    own = transaction._RECORD_ALL_NEW
    with _stack("--engines-only") as stack:
        settings = settings_of(stack)
        postgres.migrate(settings.postgres)
        environment = machine() | engines(settings)
        for number in range(2 * rounds):
            listed = number % 2 == 0
            transaction._RECORD_ALL_NEW = own if listed else without_outbox(own)
            costs[listed].append(_cost(settings))
    transaction._RECORD_ALL_NEW = own
    return costs[True], costs[False], environment


def without_outbox(statement: str) -> Any:
    """Return the statement without its part that writes the outbox."""
    begin, end = statement.index(", announced AS ("), statement.index("SELECT count(*) FROM")
    return statement[:begin] + "\n" + statement[end:]


def _cost(settings: Settings, rows: int = 150_000) -> float:
    users = [f"{number:010d}" for number in Random(2).sample(range(10**10), rows)]  # noqa: S311
    with postgres.connect(settings.postgres) as connection:
        campaign_id = _campaign(connection, rows)
        session = psutil.Process(connection.info.backend_pid)
        before = _seconds(session) + time.process_time()
        _record(connection, campaign_id, users)
        return (_seconds(session) + time.process_time() - before) * 1e6 / rows


def _seconds(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _at(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def page(
    found: list[Found],
    outbox: tuple[list[float], list[float], float],
    environment: dict[str, str],
    failures: list[str],
    options: argparse.Namespace,
) -> str:
    """Return the report for people."""
    described = " · ".join(f"{name} {value}" for name, value in sorted(environment.items()))
    lines = [
        f"# Events, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"Commit {commit()}. {described}. Written by `python bench/events.py`. Generator and "
        "system share the machine.",
        "",
        "Delay: from the commit of a coupon to the append of its event, "
        f"{options.rate:,} coupons a second for {options.seconds:g} s. "
        f"Catching up: {options.backlog:,} events that waited "
        "while the publishers stood still. CPU: of the drop, in microseconds a coupon.",
        "",
        "| relay | events | missing | repeats | delay p50/p95/p99 ms | catches up, events/s "
        "| relay us | connect us | postgres us | kafka us |",
        "| --- " * 10 + "|",
    ]
    for each in found:
        delays = " / ".join(f"{value:.0f}" for value in each.delay_ms)
        cpu = [each.us_by_role.get(role) for role in ("relay", "connect", "postgres", "kafka")]
        cells = [
            *(each.relay, f"{each.events:,}", each.missing, each.repeats, delays),
            f"{each.caught_up_per_second:,.0f}",
            *("-" if value is None else f"{value:.1f}" for value in cpu),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    with_outbox, without, share = outbox
    lines += [
        "",
        f"The outbox is **{share:.1%}** of a recorder's CPU (client and session): "
        f"{median(with_outbox):.2f} us a row with it ({_spread(with_outbox)}), "
        f"{median(without):.2f} us without ({_spread(without)}).",
        "",
        f"A drop of {options.full_rate:,} claims a second while the publishers work and while they "
        "stand still, in turn; CPU without theirs; median (least to most).",
    ]
    for each in found:
        lines += ["", f"{each.relay}:", "", *each.standstill.lines()]
    lines += [
        "",
        "Every goal was met." if not failures else "Not met: " + "; ".join(failures) + ".",
    ]
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


if __name__ == "__main__":
    sys.exit(main())
