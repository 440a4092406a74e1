"""The connector's configuration against the code that it has to agree with; nothing is started."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec

from firstcome.eventlog import topics
from firstcome.eventlog.issued import COUPON_ISSUED, SOURCE, CouponIssued
from firstcome.local import connect, jars
from firstcome.relay.slot import EVENTS
from firstcome.settings import KafkaSettings
from tests.upkeep.generate import ROOT, connector

TEXT = connect.configuration().read_text()
SETTINGS = connect.settings_of(TEXT)
VARIABLES = connect.variables("postgresql://u:p%40@h:1/d", "some", "a_slot")


def test_lock_holds_what_kafka_does_not() -> None:
    kafka, further = jars.KAFKA.locked(), jars.CONNECT.locked()
    artifacts = {jar.artifact for jar in further}
    assert len(further) == len(artifacts) == 57
    assert {"connect-runtime", "debezium-connector-postgres", "postgresql"} <= artifacts
    assert not artifacts & {jar.artifact for jar in kafka}
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in further)
    versions = {jar.group: jar.version for jar in further}
    assert versions["org.apache.kafka"] == jars.KAFKA_VERSION
    assert len({jar.version for jar in further if jar.group == "io.debezium"}) == 1


def test_libraries_have_folders_of_their_own() -> None:
    folders = {Path(library.class_path().split(":")[0]).parent for library in _LIBRARIES}
    assert len(folders) == 2
    assert {folder.parent.name for folder in folders} == {
        f"kafka-{jars.KAFKA_VERSION}",
        f"connect-{jars.KAFKA_VERSION}",
    }


_LIBRARIES = (jars.KAFKA, jars.CONNECT)


def test_worker_begins_its_class_path_with_kafkas(tmp_path: Path) -> None:
    line = connect.command(tmp_path, tmp_path / "log")
    # Otherwise the ahead-of-time cache of the broker would not fit.
    assert line[line.index("-cp") + 1].startswith(jars.KAFKA.class_path() + ":")
    assert line[-1] == str(ROOT / "deploy/debezium/connector.properties")


def test_both_forms_of_the_configuration_say_the_same() -> None:
    document = json.loads((ROOT / "deploy/debezium/connector.json").read_text())
    assert document == json.loads(connector())
    assert document["config"] | {"name": document["name"]} == SETTINGS
    assert document["name"] == connect.CONNECTOR
    names = [line.partition("=")[0] for line in TEXT.splitlines() if not line.startswith("#")]
    assert len(SETTINGS) == len(list(filter(None, names))), "something is set twice"


def test_configuration_agrees_with_the_contract() -> None:
    assert SETTINGS["transforms.type.value.literal"] == COUPON_ISSUED
    assert SETTINGS["transforms.source.value.literal"] == SOURCE
    assert SETTINGS["publication.name"] == EVENTS
    picked = SETTINGS["transforms.pick.include"].split(",")
    renamed = dict([SETTINGS["transforms.pick.renames"].split(":")])
    dropped = SETTINGS["transforms.value.exclude"].split(",")
    told = [renamed.get(name, name) for name in picked if name not in dropped]
    assert set(told) == {field.name for field in msgspec.structs.fields(CouponIssued)}


def test_configuration_names_topics_that_are_made() -> None:
    made = topics.retention_ms(KafkaSettings(topic_prefix="some"))
    for transform in ("topic", "heartbeat"):
        assert _filled(SETTINGS[f"transforms.{transform}.replacement"]) in made
    name = f"{SETTINGS['topic.prefix']}.{SETTINGS['table.include.list']}"
    assert re.fullmatch(SETTINGS["predicates.issuance.pattern"], name)


def test_every_transform_is_listed_and_none_touches_a_heartbeat() -> None:
    listed = SETTINGS["transforms"].split(",")
    assert set(listed) == {
        name.split(".")[1] for name in SETTINGS if name.startswith("transforms.")
    }
    unguarded = [each for each in listed if f"transforms.{each}.predicate" not in SETTINGS]
    assert unguarded == ["heartbeat"]


def test_worker_lets_through_what_the_configuration_asks_for_and_nothing_else() -> None:
    asked = set(re.findall(r"\$\{env:([^}]+)\}", TEXT)) - {"..."}
    assert asked == VARIABLES.keys()
    allowed = re.compile(connect.SETTINGS["config.providers.env.param.allowlist.pattern"])
    assert all(allowed.fullmatch(name) for name in asked)
    assert not allowed.fullmatch("FIRSTCOME_COUPONS__CODE_KEY")
    assert VARIABLES["PGPASSWORD"] == "p@"
    assert _filled("${env:PGHOST}:${env:PGPORT}/${env:PGDATABASE}") == "h:1/d"


def test_both_workers_are_set_alike(tmp_path: Path) -> None:
    here = connect.settings_of(connect.worker(tmp_path, 1234, "one:9092"))
    folder = connect.configuration().parent
    there = connect.settings_of((folder / "worker-distributed.properties").read_text())
    assert {name for name in here if here[name] != there.get(name)} == {
        "bootstrap.servers",
        "listeners",
        "offset.storage.file.filename",
    }
    assert here["listeners"] == "http://127.0.0.1:1234"


def test_offsets_go_with_their_slot(tmp_path: Path) -> None:
    offsets = tmp_path / "offsets"
    for slot, kept in (
        ("a 1", False),
        ("a 1", True),
        ("a 2", False),
        ("a 2", True),
        ("b 2", False),
    ):
        offsets.write_text("kept")
        connect.keep_offsets_of(tmp_path, slot)
        assert offsets.exists() is kept


def test_worker_runs_when_connector_and_task_do() -> None:
    running = {"state": "RUNNING"}
    failed = {"state": "FAILED", "trace": "DebeziumException: no slot\n\tat some.where"}
    for said, runs, fault in (
        ({"connector": running, "tasks": [running]}, True, None),
        ({"connector": running, "tasks": []}, False, None),
        ({"connector": {"state": "UNASSIGNED"}, "tasks": [running]}, False, None),
        (
            {"connector": running, "tasks": [failed]},
            False,
            "has failed: DebeziumException: no slot",
        ),
        ({"error_code": 404, "message": "not yet"}, False, None),
    ):
        with _worker(said) as port:
            assert (connect.is_running(port), connect.fault(port)) == (runs, fault)
    assert (connect.is_running(port), connect.fault(port)) == (False, None)


@contextmanager
def _worker(said: dict[str, Any]) -> Iterator[int]:
    """Answer as a worker's REST port does; yields the port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == f"/connectors/{connect.CONNECTOR}/status"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _filled(value: str) -> str:
    return re.sub(r"\$\{env:([^}]+)\}", lambda name: VARIABLES[name[1]], value)
