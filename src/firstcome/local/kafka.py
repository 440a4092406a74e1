"""Kafka of the local stack: real Apache Kafka brokers (KRaft), one or three, on the wheel's Java.

The broker's start is cut from 2.9 to about 1.1 s by an ahead-of-time cache of its classes, made
once per machine by a training run. The quorum is named in the configuration, not in the data, so a
broker may move to another port between two starts.
"""

import shutil
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from firstcome.local import commands, jars, java, ports
from firstcome.local.folder import write_private
from firstcome.local.leash import leashed
from firstcome.local.process import Spec

PROBE_SECONDS = 0.25
TRAINING_SECONDS = 60
HEAP_MB = {1: 512, 3: 384}

# Of every broker; the reasons stand beside the values that are not Kafka's own.
SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # A killed broker may come back, or be replaced, after 3 s instead of 9.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # A killed recorder is noticed in 6 s instead of 45, a new one works after 1 s instead of 5.
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    # Internal topics with few partitions: a start makes them all.
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.num.partitions": "5",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "unclean.leader.election.enable": "false",
}


@dataclass(frozen=True)
class Listener:
    """A further way in: clients that come by it are sent to the advertised port."""

    name: str
    port: int
    advertised_port: int


@dataclass(frozen=True)
class Broker:
    """One broker of the cluster: its number from 1, folder, log and ports."""

    node_id: int
    folder: Path
    log: Path
    port: int
    controller_port: int
    listeners: tuple[Listener, ...] = ()


def spec(broker: Broker, cluster: list[Broker], cluster_id: str) -> Spec:
    """Return how to run `broker` as a member of `cluster`."""
    return Spec(
        name=f"kafka-{broker.node_id}",
        role="kafka",
        command=_command(broker, len(cluster)),
        prepare=lambda: _prepare(broker, cluster, cluster_id),
        is_ready=lambda life: brokers_visible(broker.port) == len(cluster),
        # Without a majority of controllers the last broker's farewell is never answered.
        stop_seconds=10.0,
    )


def properties(broker: Broker, cluster: list[Broker]) -> str:
    """Return the broker's server.properties."""
    replication = str(len(cluster))
    in_sync = str(2 if len(cluster) > 1 else 1)
    lines = SETTINGS | {
        "node.id": str(broker.node_id),
        "controller.quorum.voters": ",".join(
            f"{each.node_id}@127.0.0.1:{each.controller_port}" for each in cluster
        ),
        "listeners": _addresses(
            ("PLAINTEXT", broker.port),
            ("CONTROLLER", broker.controller_port),
            *((each.name, each.port) for each in broker.listeners),
        ),
        "advertised.listeners": _addresses(
            ("PLAINTEXT", broker.port),
            *((each.name, each.advertised_port) for each in broker.listeners),
        ),
        "listener.security.protocol.map": ",".join(
            f"{name}:PLAINTEXT"
            for name in ("PLAINTEXT", "CONTROLLER", *(each.name for each in broker.listeners))
        ),
        "log.dirs": str(broker.folder / "data"),
        "default.replication.factor": replication,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replication,
        "transaction.state.log.replication.factor": replication,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replication,
        "share.coordinator.state.topic.min.isr": in_sync,
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _addresses(*listeners: tuple[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners)


def brokers_visible(port: int) -> int:
    """Return how many brokers the one on `port` knows to be alive; 0 if it does not answer."""
    # Metadata v1: length, key 3, version 1, correlation id, no client id, no topics.
    request = struct.pack(">ihhihi", 14, 3, 1, 0, -1, 0)
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_SECONDS) as probe:
            probe.sendall(request)
            reply = b""
            while len(reply) < 12:  # length, correlation id, number of brokers
                if not (some := probe.recv(4096)):
                    return 0
                reply += some
    except OSError:
        return 0
    return int(struct.unpack_from(">i", reply, 8)[0])


def _prepare(broker: Broker, cluster: list[Broker], cluster_id: str) -> None:
    jars.KAFKA.fetch()
    cache = java.aot_cache()
    if cache and not cache.exists():
        with jars.only_one(cache.with_suffix(".lock")):
            if not cache.exists():
                train(cache)
    _format(broker, cluster, cluster_id)


def _format(broker: Broker, cluster: list[Broker], cluster_id: str) -> None:
    broker.folder.mkdir(mode=0o700, exist_ok=True)
    write_private(broker.folder / "server.properties", properties(broker, cluster))
    if (broker.folder / "data" / "meta.properties").exists():
        return
    shutil.rmtree(broker.folder / "data", ignore_errors=True)
    arguments = ["format", "-t", cluster_id, "-c", str(broker.folder / "server.properties")]
    commands.run(java.command("kafka.tools.StorageTool", *arguments, heap_mb=128), broker.log)


def _command(broker: Broker, brokers: int) -> list[str]:
    return java.command(
        "kafka.Kafka",
        str(broker.folder / "server.properties"),
        heap_mb=HEAP_MB[brokers],
        options=_logging(broker),
    )


def _logging(broker: Broker) -> tuple[str, ...]:
    configuration = files("firstcome.local") / "log4j2.properties"
    return (
        f"-Dlog4j2.configurationFile={Path(str(configuration)).as_uri()}",
        f"-Dfirstcome.log={broker.log}",
    )


def train(cache: Path) -> None:
    """Make the ahead-of-time cache: run a broker on scratch data until it works, then stop it.

    Takes about 10 s, once per machine. The JVM writes the cache as it ends. Raises CommandFailed.
    """
    with tempfile.TemporaryDirectory(prefix="training-", dir=cache.parent) as scratch:
        folder = Path(scratch)
        port, controller_port = ports.reserve(None), ports.reserve(None)
        broker = Broker(1, folder / "kafka-1", folder / "log", port, controller_port)
        _format(broker, [broker], new_cluster_id())
        new = folder / cache.name
        command = java.training_command(
            "kafka.Kafka",
            str(broker.folder / "server.properties"),
            cache=new,
            heap_mb=HEAP_MB[1],
            options=_logging(broker),
        )
        with subprocess.Popen(leashed(command), stdout=subprocess.DEVNULL) as trained:
            deadline = time.monotonic() + TRAINING_SECONDS
            while not brokers_visible(broker.port) and time.monotonic() < deadline:
                time.sleep(0.1)
            trained.terminate()
        if not new.exists():
            raise commands.CommandFailed("Java wrote no ahead-of-time cache at the end of a run")
        new.replace(cache)


def new_cluster_id() -> str:
    """Return a fresh id as Kafka writes them: 22 characters, no leading dash."""
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]).startswith("-"):
        pass
    return text
