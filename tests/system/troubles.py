"""Troubles that no process dies of, each for as long as its context lasts."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from engines import ask_redis

from firstcome import postgres
from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import eventually
from firstcome.drill.processes import Processes
from firstcome.relay.outbox import RELAY_LOCK
from firstcome.settings import PostgresSettings

CROWD = 120  # more than the 20 bad claims that stop a recorder
FORGOTTEN = "somebody_forgot_me"


@contextmanager
def session(stack: RunningStack) -> Iterator[postgres.Connection]:
    """Lend a session whose statements stand for themselves."""
    settings = PostgresSettings(**stack.settings["postgres"])
    patient = postgres.Timeouts(transaction_seconds=1200)
    with postgres.connect(settings, name="a-trouble", timeouts=patient) as connection:
        connection.autocommit = True
        yield connection


@contextmanager
def long_transaction(stack: RunningStack) -> Iterator[None]:
    """Hold a transaction open."""
    with session(stack) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1")
        yield


@contextmanager
def little_memory(stack: RunningStack) -> Iterator[None]:
    """Let Redis have little more memory than it uses."""
    found = re.search(r"^used_memory:(\d+)", ask_redis(stack, "INFO", "memory"), re.MULTILINE)
    assert found is not None
    ask_redis(stack, "CONFIG", "SET", "maxmemory", str(int(found[1]) * 10 // 9))
    try:
        yield
    finally:
        ask_redis(stack, "CONFIG", "SET", "maxmemory", "0")


@contextmanager
def refusing_database(stack: RunningStack, faults: Processes, campaign_id: int) -> Iterator[None]:
    """Let PostgreSQL refuse the claims of a crowd, which a recorder finds all at once."""
    with session(stack) as connection:
        connection.execute(
            "ALTER TABLE issuances ADD CONSTRAINT refusing"
            " CHECK (user_id NOT LIKE 'refused-%') NOT VALID"
        )
        try:
            with faults.frozen("recorder-1"), ThreadPoolExecutor(CROWD) as crowd:
                users = [f"refused-{number}" for number in range(CROWD)]
                answers = crowd.map(lambda user: stack.claim(campaign_id, user).status, users)
                assert set(answers) == {202}
            yield
        finally:
            connection.execute("ALTER TABLE issuances DROP CONSTRAINT refusing")


@contextmanager
def lost_slot(stack: RunningStack) -> Iterator[None]:
    """Let PostgreSQL give up somebody's slot, which nobody reads."""
    with session(stack) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [FORGOTTEN])
        connection.execute("ALTER SYSTEM SET idle_replication_slot_timeout = '1s'")
        connection.execute("SELECT pg_reload_conf()")

        def is_lost() -> bool:
            connection.execute("CHECKPOINT")
            ((status,),) = connection.execute(
                "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", [FORGOTTEN]
            )
            return bool(status == "lost")

        try:
            eventually("the slot is lost", is_lost, every=1.0)
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET idle_replication_slot_timeout")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("SELECT pg_drop_replication_slot(%s)", [FORGOTTEN])


@contextmanager
def dropped_slot(stack: RunningStack, faults: Processes, slot: str) -> Iterator[None]:
    """Drop the slot of a relay, which stands still until that is done; then prepare another."""
    with session(stack) as connection:
        active = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s"
        with faults.frozen("relay-1"):
            connection.execute(f"SELECT pg_terminate_backend(({active}))", [slot])
            eventually(
                "nobody reads the slot",
                lambda: connection.execute(active, [slot]).fetchone(),
                lambda row: row == (None,),
            )
            connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        try:
            yield
        finally:
            # The page says so.
            stack.run("relay", "prepare")


@contextmanager
def unread_log(stack: RunningStack, faults: Processes, segments: int) -> Iterator[None]:
    """Let the relay stand still while PostgreSQL begins so many segments of its log (16 MB)."""
    with faults.frozen("relay-1"), session(stack) as connection:
        for _ in range(segments):
            connection.execute("SELECT pg_logical_emit_message(false, 'a-trouble', 'x')")
            connection.execute("SELECT pg_switch_wal()")
        yield


@contextmanager
def unknown_state(stack: RunningStack, campaign_id: int) -> Iterator[None]:
    """Let a campaign have a state that only a later version knows: who shows campaigns cannot."""
    change = "UPDATE campaigns SET state = %s WHERE campaign_id = %s"
    table = "ALTER TABLE campaigns"
    known = "CHECK (state IN ('OPEN', 'PAUSED', 'CLOSED', 'ARCHIVED'))"
    with session(stack) as connection:
        connection.execute(f"{table} DROP CONSTRAINT campaigns_state_check")
        connection.execute(change, ["RAFFLED", campaign_id])
        try:
            yield
        finally:
            connection.execute(change, ["OPEN", campaign_id])
            connection.execute(f"{table} ADD CONSTRAINT campaigns_state_check {known}")


@contextmanager
def held_rows(stack: RunningStack, campaigns: list[int]) -> Iterator[None]:
    """Lock rows of campaigns to the end: what is claimed of them waits in log and journal."""
    with session(stack) as connection:
        connection.execute("BEGIN")
        connection.execute(
            "SELECT FROM campaigns WHERE campaign_id = ANY(%s) FOR UPDATE", [campaigns]
        )
        yield


@contextmanager
def growing_file(folder: Path, chunk_bytes: int) -> Iterator[None]:
    """Let a file grow by so much twice a second; it is gone at the end."""
    with (folder / "growing").open("ab", buffering=0) as file:
        try:
            with again_and_again(lambda: file.write(bytes(chunk_bytes)), pause=0.5):
                yield
        finally:
            (folder / "growing").unlink()


@contextmanager
def collecting(stack: RunningStack) -> Iterator[None]:
    """Let a process of ours stand still for its garbage, and Prometheus read it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = [sys.executable, str(Path(__file__).with_name("collecting.py")), str(port)]
    nodes = stack.state / "prometheus" / "nodes.json"
    with subprocess.Popen(program) as process:
        labels = {"process": "collecting-1"}
        nodes.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": labels}]))
        try:
            yield
        finally:
            nodes.write_text("[]")
            process.kill()


@contextmanager
def held_relays(stack: RunningStack) -> Iterator[None]:
    """Keep the lock under which a relay works: it lives, and waits for its turn."""
    with session(stack) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [RELAY_LOCK])
        yield


@contextmanager
def held_row(stack: RunningStack, campaign_id: int, seconds: float) -> Iterator[None]:
    """Lock a campaign's row again and again for so long: whoever records waits."""

    def hold() -> None:
        with session(stack) as connection:
            connection.execute("BEGIN")
            connection.execute(
                "SELECT FROM campaigns WHERE campaign_id = %s FOR UPDATE", [campaign_id]
            )
            time.sleep(seconds)
            connection.execute("ROLLBACK")

    with again_and_again(hold, pause=0.2):
        yield


@contextmanager
def blinking(faults: Processes, name: str, seconds: float, pause: float) -> Iterator[None]:
    """Let a process stand still for so long, again and again."""
    with again_and_again(lambda: faults.freeze(name, seconds), pause):
        yield


@contextmanager
def visitors(stack: RunningStack, campaign_id: int) -> Iterator[None]:
    """Let some people claim, one after the other, whatever they are answered."""
    numbers = iter(range(1_000_000))

    def claim() -> None:
        with suppress(OSError):
            stack.claim(campaign_id, f"visitor-{next(numbers)}")

    with (
        again_and_again(claim, pause=0.1),
        again_and_again(claim, pause=0.1),
        again_and_again(claim, pause=0.1),
    ):
        yield


@contextmanager
def again_and_again(act: Callable[[], object], pause: float) -> Iterator[None]:
    """Do something on a thread of its own; what it raises is raised at the end."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(pause):
            act()

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        try:
            yield
        finally:
            stop.set()
        working.result()
