"""From a shape to processes: which run, in which order they start, and the settings they read.

The supervisor is the only reader. Addresses and secrets go to <state>/settings.toml; the stack's
children get FIRSTCOME_CONFIG, and every other FIRSTCOME_ variable of the user's environment passes
through, except addresses and the relay's mode, which are the stack's own.
"""

import json
import os
import signal
import socket
import sys
import tomllib
from dataclasses import replace
from typing import Any

from firstcome.errors import InvalidSettings
from firstcome.local import connect, kafka, links, monitoring, postgres, redis
from firstcome.local.folder import StackFolder, write_private
from firstcome.local.identity import Identity
from firstcome.local.process import Life, Spec
from firstcome.local.shape import Shape

Document = dict[str, dict[str, Any]]
METRICS_PORT = "FIRSTCOME_METRICS__PORT"

# A user's own values of these are not passed on.
STACKS_OWN = {
    links.REDIS,
    links.POSTGRES,
    links.BOOTSTRAP,
    "FIRSTCOME_API__PORT",
    "FIRSTCOME_CONSOLE__PORT",
    METRICS_PORT,
    "FIRSTCOME_RELAY__MODE",  # that of the shape: which processes run depends on it
}
# Longer than api.drain_timeout_seconds.
DRAIN_SECONDS = 15.0


class Blueprint:
    """One stack as it should be."""

    def __init__(self, folder: StackFolder, identity: Identity, shape: Shape) -> None:
        """`identity` must have its ports."""
        self.folder = folder
        self.identity = identity
        self.shape = shape
        self.bootstrap_servers = kafka_servers(shape) or ",".join(
            f"127.0.0.1:{broker.port}" for broker in self._cluster()
        )

    def urls(self) -> dict[str, str | None]:
        """Return every address, credentials included; None for what this shape does not run."""
        ports, whole = self.identity.ports, not self.shape.engines_only
        return {
            "api": f"http://127.0.0.1:{ports['api']}" if whole else None,
            "console": f"http://127.0.0.1:{ports['console']}" if whole else None,
            "postgres": postgres.url(ports["postgres"], self.identity.postgres_password),
            "redis": redis.url(ports["redis"], self.identity.redis_password),
            "kafka": self.bootstrap_servers,
            "connect": f"http://127.0.0.1:{ports['connect']}" if self.shape.connects else None,
            **self._monitoring_urls(),
        }

    def write_settings(self) -> None:
        """Write settings.toml: what a user added stays, what is the stack's own is replaced."""
        kept: Document = {}
        if self.folder.settings.exists():
            kept = tomllib.loads(self.folder.settings.read_text())
        write_private(self.folder.settings, to_toml(merged(kept, self._own_settings())))

    def engines(self) -> list[Spec]:
        """Return what starts first, all at once."""
        folder, identity = self.folder, self.identity
        ports = identity.ports
        engines = [
            postgres.spec(
                folder.path / "postgres",
                ports["postgres"],
                identity.postgres_password,
                folder.log("postgres"),
            ),
            redis.spec(folder.path / "redis", ports["redis"], identity.redis_password),
        ]
        if self.shape.broker == "kafka":
            cluster = self._cluster()
            engines += [kafka.spec(each, cluster, identity.cluster_id) for each in cluster]
        return [self._varied(spec) for spec in engines]

    def migration(self) -> Spec:
        """Return what makes topics and database objects, before any of our own processes."""
        return self._own("migrate", "migrate", ["migrate"], once=True)

    def preparation(self) -> list[Spec]:
        """Return what makes the relay's replication slot, if it needs one; after the migration."""
        if self.shape.relay == "polling":
            return []
        return [self._own("prepare", "migrate", ["relay", "prepare"], once=True)]

    def processes(self, listener: socket.socket) -> list[Spec]:
        """Return firstcome's own processes; the api processes share the listening socket."""
        specs = [self._serving(name, listener.fileno()) for name in self.shape.own_processes()]
        return [*specs, self._connect()] if self.shape.connects else specs

    def monitors(self) -> list[Spec]:
        """Return what watches our own processes, once they work. Raises MonitoringMissing."""
        if not self.shape.monitors:
            return []
        environment = self._environment("alertmanager")
        return monitoring.specs(self.folder.path, self.identity.ports, environment)

    def recorder(self, number: int) -> Spec:
        """Return a recorder that comes while the stack runs; it keeps its port from then on."""
        name = f"recorder-{number}"
        self.identity.choose_port(metrics_port(name))
        self.identity.save(self.folder)
        return self._serving(name)

    def listener(self) -> socket.socket:
        """Return the socket that api processes accept from; it outlives each of them."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.identity.ports["api"]))
        listener.listen(
            65_535
        )  # a crowd arrives in one second; the kernel cuts it to its own limit
        return listener

    def _monitoring_urls(self) -> dict[str, str | None]:
        if not self.shape.monitors:
            return dict.fromkeys(monitoring.PROGRAMS)
        ports = self.identity.ports
        return {name: f"http://127.0.0.1:{ports[name]}" for name in monitoring.PROGRAMS}

    def _connect(self) -> Spec:
        folder, port = self.folder.path / "connect-1", self.identity.ports["connect"]
        log = self.folder.log("connect-1")
        program = [sys.executable, "-m", "firstcome.local.connect"]
        return Spec(
            name="connect-1",
            role="connect",
            command=[*program, str(folder), str(port), str(log)],
            environment=self._environment("connect"),
            prepare=connect.fetch,
            is_ready=lambda life: connect.is_running(port),
            fault=lambda life: connect.fault(port),
        )

    def _serving(self, name: str, listener: int | None = None) -> Spec:
        role = name.partition("-")[0]
        port = self.identity.ports[metrics_port(name)]
        spec = self._own(name, role, ["serve", role])
        if role == "api" and listener is not None:
            command = [*spec.command, "--fd", str(listener)]
            spec = replace(spec, command=command, inherited=(listener,))
        return replace(
            spec,
            environment={**spec.environment, METRICS_PORT: str(port)},
            metrics_url=f"http://127.0.0.1:{port}/metrics",
        )

    def _own(
        self,
        name: str,
        role: str,
        arguments: list[str],
        once: bool = False,
    ) -> Spec:
        return Spec(
            name=name,
            role=role,
            command=[sys.executable, "-m", "firstcome", *arguments],
            environment=self._environment(role),
            is_ready=says_ready,
            stop_signal=signal.SIGTERM,
            stop_seconds=DRAIN_SECONDS,
            once=once,
        )

    def _varied(self, spec: Spec) -> Spec:
        """Return an engine's spec with this shape's variables for it."""
        further = self.shape.environment.get(spec.role, {})
        return replace(spec, environment={**spec.environment, **further})

    def _environment(self, role: str) -> dict[str, str]:
        passed = {name: value for name, value in os.environ.items() if name not in STACKS_OWN}
        return passed | {
            "FIRSTCOME_CONFIG": str(self.folder.settings),
            "FIRSTCOME_STATE": str(self.folder.path),
            "FIRSTCOME_LOGS__FORMAT": "json",  # readiness is read from the log
            "PYTHONUNBUFFERED": "1",
            **links.environment(self.shape.links, role, self.identity),
            **self.shape.environment.get(role, {}),
        }

    def _own_settings(self) -> Document:
        identity = self.identity
        auth: dict[str, Any] = {"mode": self.shape.auth}
        if self.shape.auth == "gateway":
            auth["gateway_networks"] = ["127.0.0.0/8"]
        elif not {"FIRSTCOME_AUTH__KEY_FILE", "FIRSTCOME_AUTH__JWKS_URL"} & os.environ.keys():
            auth["secret"] = identity.auth_secret
        urls = self.urls()
        return {
            "api": {"port": identity.ports["api"]},
            "console": {
                "port": identity.ports["console"],
                "operator_key": identity.operator_key,
                "status_file": str(self.folder.status),
                "disk_folders": [str(self.folder.path)],
                "decision_files": [str(self.folder.decision), str(self.folder.dry_run)],
            },
            "postgres": {"url": urls["postgres"]},
            "redis": {"url": urls["redis"]},
            "kafka": {
                "bootstrap_servers": self.bootstrap_servers,
                "replication": 3 if self.shape.brokers == 3 else 1,
            },
            "auth": auth,
            "coupons": {"code_key": identity.code_key},
            "relay": {"mode": self.shape.relay},
        }

    def _cluster(self) -> list[kafka.Broker]:
        return [
            kafka.Broker(
                number,
                self.folder.path / f"kafka-{number}",
                self.folder.log(f"kafka-{number}"),
                self.identity.ports[f"kafka-{number}"],
                self.identity.ports[f"kafka-{number}-controller"],
                links.listeners(self.shape.links, number, self.identity),
            )
            for number in range(1, self.identity.brokers + 1)
        ]


def port_names(shape: Shape) -> list[str]:
    """Return the names of the ports that a shape needs beyond those of every stack."""
    names = [*links.port_names(shape.links), *map(metrics_port, shape.own_processes())]
    if shape.monitors:
        names += monitoring.PROGRAMS
    return [*names, "connect"] if shape.connects else names


def metrics_port(process: str) -> str:
    """Return the name of the port on which a process tells its metrics."""
    return f"{process}-metrics"


def kafka_servers(shape: Shape) -> str | None:
    """Return the user's own brokers; None if the stack runs them. Raises InvalidSettings."""
    if shape.broker == "kafka":
        return None
    if servers := os.environ.get(links.BOOTSTRAP):
        return servers
    raise InvalidSettings(
        f"--broker external needs {links.BOOTSTRAP}: set it to host:port,host:port"
    )


def says_ready(life: Life) -> bool:
    """Whether this life of a process has logged the event `ready`."""
    with life.log.open("rb") as log:
        log.seek(life.log_offset)
        return any(_is_ready_line(line) for line in log if b"ready" in line)


def merged(kept: Document, own: Document) -> Document:
    """Return `kept` with the stack's own settings laid over it."""
    auth = {
        name: value
        for name, value in kept.get("auth", {}).items()
        if name not in ("mode", "secret", "gateway_networks")
    }
    result = {**kept, "auth": auth}
    for section, values in own.items():
        result[section] = {**result.get(section, {}), **values}
    return result


def to_toml(document: Document) -> str:
    """Return sections of strings, numbers, truths, lists and further sections as TOML.

    JSON writes all but sections alike.
    """
    lines = ["# Written by `firstcome up`; what you add stays. Gone with `firstcome down --wipe`."]
    for section, values in document.items():
        lines += _section([section], values)
    return "\n".join(lines) + "\n"


def _section(path: list[str], values: dict[str, Any]) -> list[str]:
    # Names of operators may have dots.
    lines = ["\n[" + ".".join(map(_key, path)) + "]"]
    lines += [
        f"{_key(name)} = {json.dumps(value)}"
        for name, value in values.items()
        if not isinstance(value, dict)
    ]
    for name, value in values.items():
        if isinstance(value, dict):
            lines += _section([*path, name], value)
    return lines


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else json.dumps(name)


def _is_ready_line(line: bytes) -> bool:
    try:
        fields = json.loads(line)
    except ValueError:
        return False
    return isinstance(fields, dict) and fields.get("event") == "ready"
