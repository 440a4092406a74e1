"""From a shape to settings, ports and processes; nothing is started."""

import json
import stat
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from firstcome.errors import InvalidSettings, Refused
from firstcome.local import kafka, links
from firstcome.local.blueprint import (
    Blueprint,
    merged,
    metrics_port,
    port_names,
    says_ready,
    to_toml,
)
from firstcome.local.folder import StackFolder
from firstcome.local.identity import Identity
from firstcome.local.process import Life
from firstcome.local.shape import Shape
from firstcome.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    folder = StackFolder(tmp_path / "stack")
    folder.create()
    return folder


def blueprint(folder: StackFolder, shape: Shape) -> Blueprint:
    identity = Identity.of(folder, shape.brokers)
    names = ["postgres", "redis", "api", "console", "connect"]
    names += [f"kafka-{n}{end}" for n in (1, 2, 3) for end in ("", "-controller")]
    names += links.port_names(shape.links)
    names += [metrics_port(name) for name in shape.own_processes()]
    identity.ports = {name: 20_000 + number for number, name in enumerate(names)}
    identity.save(folder)
    return Blueprint(folder, identity, shape)


def loaded(folder: StackFolder, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FIRSTCOME_CONFIG", str(folder.settings))
    return Settings.load()


def test_settings_file_gives_every_process_addresses_and_secrets(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = blueprint(folder, Shape())
    made.write_settings()
    settings = loaded(folder, monkeypatch)
    assert settings.postgres.url.get_secret_value() == made.urls()["postgres"]
    assert settings.redis.url.get_secret_value() == made.urls()["redis"]
    assert settings.kafka.bootstrap_servers == made.urls()["kafka"] == "127.0.0.1:20005"
    assert settings.api.port == 20_002
    assert settings.auth.mode == "jwt"
    assert settings.auth.secret is not None
    assert settings.coupons.code_key is not None
    assert settings.console.operator_key is not None
    assert stat.S_IMODE(folder.settings.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.identity.stat().st_mode) == 0o600


def test_settings_file_follows_the_way_of_authentication(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode in ("jwt", "gateway", "jwt"):
        blueprint(folder, Shape(auth=mode)).write_settings()  # type: ignore[arg-type]
        auth = loaded(folder, monkeypatch).auth
        assert auth.mode == mode
        assert (auth.secret is None) == (mode == "gateway")
        assert auth.gateway_networks == (["127.0.0.0/8"] if mode == "gateway" else [])


def test_settings_file_keeps_what_a_user_added_and_the_keys_made_once(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    blueprint(folder, Shape()).write_settings()
    before = loaded(folder, monkeypatch)
    text = folder.settings.read_text() + "\n[intake]\nanswer_deadline_seconds = 4.5\n"
    folder.settings.write_text(text.replace("[auth]", '[auth]\nissuer = "me"'))
    blueprint(folder, Shape()).write_settings()
    after = loaded(folder, monkeypatch)
    assert after.intake.answer_deadline_seconds == 4.5
    assert after.auth.issuer == "me"
    assert after.coupons.code_key == before.coupons.code_key
    assert after.auth.secret == before.auth.secret


def test_settings_file_leaves_the_token_key_to_a_user_who_names_one(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTCOME_AUTH__JWKS_URL", "https://issuer.example/jwks")
    blueprint(folder, Shape()).write_settings()
    assert loaded(folder, monkeypatch).auth.secret is None


def test_toml_reads_back_as_it_was() -> None:
    document = {"a": {"s": 'x"\\é\n', "n": 3, "f": 0.5, "t": True, "l": ["1", "2"]}, "b": {}}
    assert tomllib.loads(to_toml(document)) == document


def test_merging_replaces_only_the_own_settings() -> None:
    kept = {"redis": {"url": "old", "call_timeout_seconds": 2}, "logs": {"level": "debug"}}
    assert merged(kept, {"redis": {"url": "new"}}) == {
        "redis": {"url": "new", "call_timeout_seconds": 2},
        "logs": {"level": "debug"},
        "auth": {},
    }


def test_external_broker_is_taken_from_the_environment(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidSettings, match="FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS"):
        blueprint(folder, Shape(broker="external"))
    monkeypatch.setenv("FIRSTCOME_KAFKA__BOOTSTRAP_SERVERS", "one:9092,two:9092")
    made = blueprint(folder, Shape(broker="external"))
    assert made.urls()["kafka"] == "one:9092,two:9092"
    assert [spec.name for spec in made.engines()] == ["postgres", "redis"]


def test_processes_of_a_shape_have_their_names_and_share_the_socket(folder: StackFolder) -> None:
    made = blueprint(folder, Shape(api=2, recorders=3))
    made.identity.ports["api"] = 0
    with made.listener() as listener:
        specs = made.processes(listener)
        assert [spec.name for spec in specs] == [
            "sweeper-1",
            *(f"recorder-{n}" for n in (1, 2, 3)),
            *(f"api-{n}" for n in (1, 2)),
            "relay-1",
            "console-1",
        ]
        for spec in specs:
            assert spec.inherited == ((listener.fileno(),) if spec.role == "api" else ())
            port = spec.environment["FIRSTCOME_METRICS__PORT"]
            assert spec.metrics_url == f"http://127.0.0.1:{port}/metrics"
        assert len({spec.metrics_url for spec in specs}) == len(specs)


@pytest.mark.parametrize("relay", ["polling", "wal", "debezium"])
def test_processes_and_settings_follow_the_relay(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch, relay: str
) -> None:
    monkeypatch.setenv("FIRSTCOME_RELAY__MODE", "polling" if relay == "wal" else "wal")
    made = blueprint(folder, Shape(relay=relay))  # type: ignore[arg-type]
    made.write_settings()
    assert tomllib.loads(folder.settings.read_text())["relay"] == {"mode": relay}
    assert "FIRSTCOME_RELAY__MODE" not in made.migration().environment
    prepared = [spec.command[-2:] for spec in made.preparation()]
    assert prepared == ([] if relay == "polling" else [["relay", "prepare"]])
    made.identity.ports["api"] = 0
    with made.listener() as listener:
        roles = [spec.role for spec in made.processes(listener)]
    assert roles.count("relay") == 1
    connects = relay == "debezium"
    assert roles.count("connect") == connects
    assert ("connect" in port_names(made.shape)) == connects
    assert made.urls()["connect"] == ("http://127.0.0.1:20004" if connects else None)


def test_engines_alone_need_no_relay(folder: StackFolder) -> None:
    shape = Shape(relay="debezium", engines_only=True)
    assert port_names(shape) == []
    assert blueprint(folder, shape).urls()["connect"] is None


def test_children_get_the_users_settings_but_the_stacks_addresses(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTCOME_INTAKE__ANSWER_DEADLINE_SECONDS", "9")
    monkeypatch.setenv("FIRSTCOME_REDIS__URL", "redis://elsewhere")
    environment = blueprint(folder, Shape()).migration().environment
    assert environment["FIRSTCOME_INTAKE__ANSWER_DEADLINE_SECONDS"] == "9"
    assert "FIRSTCOME_REDIS__URL" not in environment
    assert environment["FIRSTCOME_CONFIG"] == str(folder.settings)


def test_linked_roles_reach_engines_by_their_links(folder: StackFolder) -> None:
    shape = Shape(
        links={"recorder.redis": 1, "recorder.postgres": 2, "recorder.kafka-1": 3},
        environment={"recorder": {"A": "1"}, "postgres": {"A": "2"}},
    )
    made = blueprint(folder, shape)
    made.identity.ports["api"] = 0
    with made.listener() as listener:
        specs = {spec.role: spec.environment for spec in made.processes(listener)}
    direct, linked = specs["api"], specs["recorder"]
    assert not direct.keys() & {links.REDIS, links.POSTGRES, links.BOOTSTRAP, "A"}
    assert linked[links.REDIS].endswith("@127.0.0.1:1/0")
    assert linked[links.POSTGRES].endswith("@127.0.0.1:2/firstcome")
    assert (linked[links.BOOTSTRAP], linked["A"]) == ("127.0.0.1:3", "1")
    engines = {spec.role: spec.environment for spec in made.engines()}
    assert (engines["postgres"]["A"], engines["redis"].get("A")) == ("2", None)


def test_linked_roles_are_told_of_their_links_by_the_broker(tmp_path: Path) -> None:
    further = (kafka.Listener("RECORDER", 300, 400),)
    broker = kafka.Broker(1, tmp_path / "kafka-1", tmp_path / "log", 100, 200, further)
    lines = kafka.properties(broker, [broker]).splitlines()
    assert (
        "listeners=PLAINTEXT://127.0.0.1:100,CONTROLLER://127.0.0.1:200,RECORDER://127.0.0.1:300"
    ) in lines
    assert "advertised.listeners=PLAINTEXT://127.0.0.1:100,RECORDER://127.0.0.1:400" in lines
    assert (
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,RECORDER:PLAINTEXT"
    ) in lines


def test_identity_refuses_another_number_of_brokers(folder: StackFolder) -> None:
    Identity.of(folder, 3).save(folder)
    assert Identity.of(folder).brokers == 3
    with pytest.raises(Refused, match="--brokers 3"):
        Identity.of(folder, 1)


def test_identity_is_made_once(folder: StackFolder) -> None:
    first = Identity.of(folder)
    first.save(folder)
    assert asdict(Identity.of(folder)) == asdict(first)
    assert asdict(Identity()) != asdict(first)


def test_process_says_ready_in_this_life_only(tmp_path: Path) -> None:
    log = tmp_path / "api-1.log"
    log.write_text('{"event": "ready"}\n')
    life = Life(1, log, log.stat().st_size)
    with log.open("a") as file:
        file.write('not json "ready"\n{"event": "already", "state": "ready"}\n{"event": "rea')
        file.flush()
        assert not says_ready(life)
        file.write('dy", "role": "api"}\n')
        file.flush()
        assert says_ready(life)


def test_brokers_settings_keep_three_copies_and_need_two(tmp_path: Path) -> None:
    cluster = [
        kafka.Broker(n, tmp_path / f"kafka-{n}", tmp_path / "log", 100 + n, 200 + n)
        for n in (1, 2, 3)
    ]
    lines = kafka.properties(cluster[1], cluster).splitlines()
    assert "node.id=2" in lines
    assert "controller.quorum.voters=1@127.0.0.1:201,2@127.0.0.1:202,3@127.0.0.1:203" in lines
    assert {"default.replication.factor=3", "min.insync.replicas=2"} <= set(lines)
    assert {"default.replication.factor=1", "min.insync.replicas=1"} <= set(
        kafka.properties(cluster[0], cluster[:1]).splitlines()
    )


def test_shape_survives_a_command_line() -> None:
    shape = Shape(api=2, brokers=3, auth="gateway", engines_only=True)
    assert Shape.from_json(shape.to_json()) == shape
    assert json.loads(shape.to_json())["brokers"] == 3


def test_a_recorder_that_comes_later_has_a_port_of_its_own_and_keeps_it(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = blueprint(folder, Shape())
    first, later, again = made.recorder(2), made.recorder(3), made.recorder(2)
    assert first.metrics_url == again.metrics_url != later.metrics_url
    assert first.command[-2:] == ["serve", "recorder"]
    kept = Identity.of(folder).ports
    assert first.metrics_url == f"http://127.0.0.1:{kept['recorder-2-metrics']}/metrics"


def test_the_autoscaler_runs_where_it_is_asked_for() -> None:
    assert "autoscaler-1" not in Shape().own_processes()
    assert Shape(autoscale=True).own_processes()[-1] == "autoscaler-1"
    assert Shape.from_json(Shape(autoscale=True).to_json()).autoscale


def test_operators_that_a_user_adds_to_the_settings_survive() -> None:
    operators = {"ann.lee@example": {"role": "viewer", "key": "k" * 40}}
    document = {"console": {"port": 1, "operators": operators, "operator_key": "x"}}
    assert tomllib.loads(to_toml(document)) == document
