"""What the local stack tells Prometheus and Alertmanager; nothing is started."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from firstcome.local import monitoring
from firstcome.local.blueprint import Blueprint, port_names
from firstcome.local.folder import StackFolder
from firstcome.local.identity import Identity
from firstcome.local.shape import Shape
from firstcome.local.stack import Stack
from firstcome.local.supervisor import stopped

PORTS = {"prometheus": 1, "alertmanager": 2}


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both programs be found."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def process(name: str, state: str, metrics_url: str | None) -> dict[str, str | None]:
    """Return what status says of one."""
    role = name.partition("-")[0]
    return {"name": name, "role": role, "state": state, "metrics_url": metrics_url}


def test_targets_are_the_processes_that_tell_something(tmp_path: Path) -> None:
    told = [
        process("recorder-2", "backing-off", "http://127.0.0.1:7/metrics"),
        process("recorder-3", "stopping", "http://127.0.0.1:8/metrics"),
        process("redis", "ready", None),
    ]
    monitoring.write_targets(tmp_path, told)
    file = tmp_path / "prometheus/targets.json"
    assert json.loads(file.read_text()) == [
        {"targets": ["127.0.0.1:7"], "labels": {"process": "recorder-2", "role": "recorder"}}
    ]
    written = file.stat().st_mtime_ns
    monitoring.write_targets(tmp_path, told)
    assert file.stat().st_mtime_ns == written, "Prometheus reads what has changed only"
    monitoring.write_targets(tmp_path, [])
    assert json.loads(file.read_text()) == []


def test_files_of_prometheus_are_those_of_deploy(programs: None, tmp_path: Path) -> None:
    for spec in monitoring.specs(tmp_path, PORTS, {}):
        spec.prepare()
        spec.prepare()  # repeatable
    document = yaml.safe_load((tmp_path / "prometheus/prometheus.yml").read_text())
    named = [*document["rule_files"], monitoring.ALERTMANAGERS]
    assert all((tmp_path / "prometheus" / name).exists() for name in named)
    jobs = {each["job_name"]: each for each in document["scrape_configs"]}
    assert jobs["firstcome"]["file_sd_configs"] == [{"files": [monitoring.TARGETS]}]
    alertmanagers = json.loads((tmp_path / "prometheus" / monitoring.ALERTMANAGERS).read_text())
    assert alertmanagers == [{"targets": ["127.0.0.1:2"]}]
    assert (tmp_path / "alertmanager" / monitoring.TEMPLATE).exists()


def test_alertmanager_tells_slack_where_an_address_is_known(tmp_path: Path) -> None:
    document = yaml.safe_load(monitoring.configuration(tmp_path / "address"))
    ((receiver,),) = ([each["slack_configs"] for each in document["receivers"]],)
    assert receiver[0]["api_url_file"] == str(tmp_path / "address")
    silent = yaml.safe_load(monitoring.configuration(None))
    assert silent["receivers"] == [{"name": document["route"]["receiver"]}]
    assert {name: value for name, value in silent.items() if name != "receivers"} == {
        name: value for name, value in document.items() if name != "receivers"
    }


@pytest.mark.parametrize("asked", [True, False])
def test_stack_has_ports_and_addresses_of_what_it_runs(
    programs: None, tmp_path: Path, asked: bool
) -> None:
    shape = Shape(monitoring=asked)
    assert set(PORTS) & set(port_names(shape)) == (set(PORTS) if asked else set())
    ports = {name: 100 + n for n, name in enumerate(["postgres", "redis", "kafka-1", "api"])}
    identity = Identity(ports=ports | PORTS | {"kafka-1-controller": 9, "console": 10})
    blueprint = Blueprint(StackFolder(tmp_path), identity, shape)
    urls = {name: blueprint.urls()[name] for name in PORTS}
    assert urls == {
        name: f"http://127.0.0.1:{port}" if asked else None for name, port in PORTS.items()
    }
    assert {spec.name for spec in blueprint.monitors()} == (set(PORTS) if asked else set())
    assert stopped()["urls"].keys() == blueprint.urls().keys()


def test_engines_alone_are_not_watched() -> None:
    assert not Shape(engines_only=True, monitoring=True).monitors


def test_start_is_refused_when_a_program_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    folder = tmp_path / "stack"
    with pytest.raises(monitoring.MonitoringMissing, match="apt-get install"):
        Stack(StackFolder(folder)).up(Shape(monitoring=True))
    assert not folder.exists()


def test_address_of_the_webhook_is_a_secret_file(
    programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(monitoring.os, "execv", lambda path, line: became.append(line))
    monkeypatch.setenv("FIRSTCOME_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("FIRSTCOME_MONITORING__SLACK_WEBHOOK_URL", "https://hooks.example/secret")
    monitoring.main(tmp_path, 2)
    webhook = tmp_path / "slack-webhook-url"
    assert webhook.read_text() == "https://hooks.example/secret"
    assert webhook.stat().st_mode & 0o077 == 0
    assert "secret" not in " ".join(became[0])
    assert str(webhook) in (tmp_path / monitoring.CONFIGURATION).read_text()
    monkeypatch.delenv("FIRSTCOME_MONITORING__SLACK_WEBHOOK_URL")
    monitoring.main(tmp_path, 2)
    assert not webhook.exists()
    assert "slack_configs" not in (tmp_path / monitoring.CONFIGURATION).read_text()


def test_programs_are_ready_when_they_say_so(programs: None, tmp_path: Path) -> None:
    class Answer(BaseHTTPRequestHandler):
        status = 503

        def do_GET(self) -> None:
            assert self.path == "/-/ready"
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = dict.fromkeys(PORTS, server.server_port)
    try:
        for ready in (False, True):
            Answer.status = 200 if ready else 503
            specs = monitoring.specs(tmp_path, ports, {})
            assert [spec.is_ready(None) for spec in specs] == [ready, ready]  # type: ignore[arg-type]
    finally:
        server.shutdown()
        server.server_close()
    assert not any(spec.is_ready(None) for spec in specs)  # type: ignore[arg-type]
