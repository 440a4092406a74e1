"""The local stack's three engines, started and ended through the command line."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from firstcome.local.folder import StackFolder
from firstcome.local.identity import Identity
from firstcome.local.stack import Stack

COMMAND = [sys.executable, "-m", "firstcome"]


@dataclass
class Local:
    """The verbs of one stack."""

    folder: Path

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "FIRSTCOME_STATE": str(self.folder), **variables},
            timeout=150,
        )

    def up(self, *arguments: str, **variables: str) -> dict[str, Any]:
        done = self.run("up", "--engines-only", "--json", *arguments, **variables)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def status(self) -> dict[str, Any]:
        """Return what `firstcome status --json` prints, without the time to start Python."""
        return Stack(StackFolder(self.folder)).status()

    def process(self, name: str) -> dict[str, Any]:
        return next(dict(each) for each in self.status()["processes"] if each["name"] == name)

    def everybody(self) -> list[psutil.Process]:
        """Return the supervisor and all that descends from it."""
        supervisor = psutil.Process(self.status()["supervisor"])
        return [supervisor, *supervisor.children(recursive=True)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """A running stack that tests leave running."""
    yield from _kept(Local(tmp_path_factory.mktemp("local") / "stack"))


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Local]:
    """A stack of this test alone."""
    yield from _kept(Local(tmp_path / "other"))


def _kept(local: Local) -> Iterator[Local]:
    local.up()
    yield local
    done = local.run("down", "--wipe")
    assert done.returncode == 0, done.stderr
    assert not local.folder.exists()


def eventually(what: str, holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until `holds()` is true, else fail with the last value seen."""
    deadline = time.monotonic() + seconds
    while not (seen := holds()):
        assert time.monotonic() < deadline, f"{what} did not come true; last seen: {seen!r}"
        time.sleep(0.05)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run; the dead whom nobody has waited for yet do not."""
    return [each for each in processes if each.is_running() and each.status() != "zombie"]


def remember(status: dict[str, Any], mark: str) -> None:
    """Leave a mark in each engine."""
    with psycopg.connect(status["urls"]["postgres"]) as connection:
        connection.execute(f"CREATE TABLE {mark} (x int)")
    with redis.Redis.from_url(status["urls"]["redis"]) as client:
        client.set(mark, "1")
    # Named, because it must live until its futures are done.
    admin = AdminClient({"bootstrap.servers": status["urls"]["kafka"]})
    admin.create_topics([NewTopic(mark, num_partitions=1)])[mark].result(30)


def remembered(status: dict[str, Any], mark: str) -> tuple[bool, bool, bool]:
    """Return whether PostgreSQL, Redis and Kafka still have the mark."""
    with psycopg.connect(status["urls"]["postgres"]) as connection:
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [mark]).fetchone()
        assert row is not None
    with redis.Redis.from_url(status["urls"]["redis"]) as client:
        key = bool(client.exists(mark))
    admin = AdminClient({"bootstrap.servers": status["urls"]["kafka"]})
    return row[0], key, mark in admin.list_topics(timeout=10).topics


def test_stack_gives_three_working_engines(stack: Local) -> None:
    status = stack.up()
    remember(status, "works")
    assert remembered(status, "works") == (True, True, True)
    with psycopg.connect(status["urls"]["postgres"]) as connection:
        names = ["track_commit_timestamp", "wal_level", "fsync", "listen_addresses"]
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in names]
    assert shown == [("on",), ("logical",), ("on",), ("127.0.0.1",)]


def test_stack_asks_for_its_passwords(stack: Local) -> None:
    urls = stack.status()["urls"]
    wrong = urls["postgres"].replace("firstcome:", "firstcome:wrong", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    address = urls["redis"].rpartition("@")[2]
    with redis.Redis.from_url(f"redis://{address}") as client, pytest.raises(redis.RedisError):
        client.ping()


def test_second_up_finds_what_runs(stack: Local) -> None:
    before = stack.status()
    done = stack.run("up", "--engines-only", "--json")
    assert done.returncode == 0
    assert "running already" in done.stderr
    assert json.loads(done.stdout) == before


def test_second_up_says_that_it_did_not_change_the_shape(stack: Local) -> None:
    before = stack.status()
    done = stack.run("up", "--api", "2")
    assert done.returncode == 1
    assert "not as asked" in done.stderr
    assert stack.status() == before


def test_status_names_every_process_and_its_role(stack: Local) -> None:
    done = stack.run("status", "--json")
    assert done.returncode == 0
    status = json.loads(done.stdout)
    assert status["state"] == "running"
    assert [(each["name"], each["role"], each["state"]) for each in status["processes"]] == [
        ("postgres", "postgres", "ready"),
        ("redis", "redis", "ready"),
        ("kafka-1", "kafka", "ready"),
    ]
    table = stack.run("status").stdout
    password = status["urls"]["redis"].partition("@")[0].rpartition(":")[2]
    assert "kafka-1" in table
    assert password not in table


def test_logs_shows_the_last_lines_of_one_process(stack: Local) -> None:
    done = stack.run("logs", "redis", "--lines", "1")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "  " not in done.stdout[:3]
    unknown = stack.run("logs", "nobody")
    assert unknown.returncode == 1
    assert "kafka-1" in unknown.stderr


@pytest.mark.parametrize("name", ["redis", "postgres", "kafka-1"])
def test_killed_engine_comes_back_with_its_data(stack: Local, name: str) -> None:
    before = stack.process(name)
    mark = "killed_" + name.replace("-", "_")
    remember(stack.status(), mark)
    # Redis writes its file every second: what it answered before a SIGKILL is in the kernel.
    os.kill(before["pid"], signal.SIGKILL)
    eventually("a restart", lambda: stack.process(name)["restarts"] == before["restarts"] + 1)
    eventually("readiness", lambda: stack.process(name)["state"] == "ready")
    assert stack.process(name)["pid"] != before["pid"]
    assert stack.run("status").returncode == 0
    eventually("all data", lambda: remembered(stack.status(), mark) == (True, True, True))


def test_down_leaves_no_process_and_up_finds_the_data(other: Local) -> None:
    status = other.up()
    remember(status, "kept")
    processes = other.everybody()
    assert len(processes) > 8
    assert other.run("down").returncode == 0
    assert not alive(processes)
    assert other.run("status").returncode == 3
    assert other.run("down").returncode == 0
    again = other.up()
    assert again["urls"] == status["urls"]
    assert remembered(again, "kept") == (True, True, True)


def test_killed_supervisor_takes_all_with_it_and_up_recovers(other: Local) -> None:
    remember(other.up(), "kept")
    processes = other.everybody()
    processes[0].kill()
    eventually("the end of all", lambda: not alive(processes))
    assert other.run("status").returncode == 3
    assert remembered(other.up(), "kept") == (True, True, True)
    # And once more, while its children are still dying.
    psutil.Process(other.status()["supervisor"]).kill()
    assert remembered(other.up(), "kept") == (True, True, True)


def test_stacks_live_side_by_side(stack: Local, other: Local) -> None:
    mine, theirs = stack.up(), other.up()
    assert not set(mine["urls"].values()) & set(theirs["urls"].values()) - {None}
    remember(theirs, "theirs_only")
    assert remembered(mine, "theirs_only") == (False, False, False)


def test_up_names_the_process_that_fails_and_leaves_nothing_running(tmp_path: Path) -> None:
    local = Local(tmp_path / "broken")
    (local.folder / "postgres").mkdir(parents=True)
    done = local.run("up", "--engines-only", "--json")
    assert done.returncode == 3
    assert "postgres" in done.stderr
    assert "postgresql.conf" in done.stderr
    assert done.stdout == ""
    assert local.run("status").returncode == 3
    assert local.run("down", "--wipe").returncode == 0
    assert not local.folder.exists()


def test_up_refuses_another_number_of_brokers_over_old_data(tmp_path: Path) -> None:
    local = Local(tmp_path / "old")
    folder = StackFolder(local.folder)
    folder.create()
    Identity(brokers=1).save(folder)
    done = local.run("up", "--engines-only", "--brokers", "3")
    assert done.returncode == 1
    assert "--brokers 1" in done.stderr


def test_up_with_an_external_broker_starts_no_kafka(stack: Local, tmp_path: Path) -> None:
    local = Local(tmp_path / "external")
    assert local.run("up", "--engines-only", "--broker", "external").returncode == 2
    servers = stack.up()["urls"]["kafka"]
    status = local.up("--broker", "external", FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS=servers)
    assert [each["name"] for each in status["processes"]] == ["postgres", "redis"]
    assert status["urls"]["kafka"] == servers
    assert f'bootstrap_servers = "{servers}"' in (local.folder / "settings.toml").read_text()
    assert local.run("down", "--wipe").returncode == 0


def test_root_without_user_namespaces_runs_postgres_as_nobody(stack: Local) -> None:
    servers = {"FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS": stack.status()["urls"]["kafka"]}
    # Not below tmp_path: nobody may not look into another user's folders.
    with tempfile.TemporaryDirectory(prefix="firstcome-") as folder:
        Path(folder).chmod(0o755)
        local = Local(Path(folder) / "nobody")
        # Without PATH no program is found that could make a namespace.
        status = local.up("--broker", "external", PATH="", **servers)
        server = psutil.Process(local.process("postgres")["pid"])
        assert server.username() == ("nobody" if os.geteuid() == 0 else psutil.Process().username())
        with psycopg.connect(status["urls"]["postgres"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        psutil.Process(status["supervisor"]).kill()
        eventually("the end of the server", lambda: not alive([server]))
        assert local.run("down", "--wipe").returncode == 0
        assert not local.folder.exists()


def test_three_brokers_lose_nothing_when_one_dies(tmp_path: Path) -> None:
    local = Local(tmp_path / "three")
    status = local.up("--brokers", "3")
    admin = AdminClient({"bootstrap.servers": status["urls"]["kafka"]})
    topic = NewTopic("kept", num_partitions=3, replication_factor=3)
    admin.create_topics([topic])["kept"].result(30)
    producer = Producer({"bootstrap.servers": status["urls"]["kafka"], "acks": "all"})
    reports: list[object] = []
    for number in range(300):
        if number == 100:
            os.kill(local.process("kafka-2")["pid"], signal.SIGKILL)
        producer.produce("kept", str(number), on_delivery=lambda error, _: reports.append(error))
        producer.poll(0)
    assert producer.flush(60) == 0
    assert reports == [None] * 300
    eventually("its return", lambda: local.process("kafka-2")["state"] == "ready", 60)
    assert local.process("kafka-2")["restarts"] == 1
    assert local.run("down", "--wipe").returncode == 0
