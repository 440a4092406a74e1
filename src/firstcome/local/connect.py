"""Kafka Connect of the local stack: one standalone worker with the connector of deploy/debezium.

    python -m firstcome.local.connect FOLDER PORT

looks whether the replication slot can be read (a connector without offsets would make a missing
one in silence), and then becomes Java. The connector's configuration is used as it is: addresses
and the password reach it as variables of its environment. Offsets are a file, written every second:
what came after is told again by the next life. They belong to one slot, and go with it.
"""

import http.client
import json
import os
import sys
from collections.abc import Mapping
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from firstcome.errors import FirstcomeError
from firstcome.local import jars, java
from firstcome.local.folder import write_private

HEAP_MB = 256
PROBE_SECONDS = 0.25
CONNECTOR = "firstcome-coupon-issued"  # its name in the configuration
# Those of the checkout; a wheel carries a copy.
_FILES = (Path(__file__).parents[3] / "deploy/debezium", Path(__file__).parent / "debezium")

# Of the worker; the reasons stand in deploy/debezium/worker-distributed.properties.
SETTINGS = {
    "plugin.discovery": "service_load",
    "offset.flush.interval.ms": "1000",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "config.providers": "env",
    "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "config.providers.env.param.allowlist.pattern": (
        "PG(HOST|PORT|USER|PASSWORD|DATABASE)|FIRSTCOME_(KAFKA__TOPIC_PREFIX|RELAY__SLOT)"
    ),
}


def fetch() -> None:
    """Fetch the jars that are missing. Blocks. Raises JarsUnavailable, JarForged."""
    jars.KAFKA.fetch()
    jars.CONNECT.fetch()


def is_running(port: int) -> bool:
    """Return whether the worker on `port` runs the connector and its task."""
    return [state for state, _ in _told(port)] == ["RUNNING", "RUNNING"]


def fault(port: int) -> str | None:
    """Return why the connector or its task has failed, None while it has not.

    A failed task stays so until somebody starts it again: the worker does not.
    """
    return next((f"has failed: {why}" for state, why in _told(port) if state == "FAILED"), None)


def configuration() -> Path:
    """Return the connector's configuration, the only one there is."""
    return next(folder for folder in _FILES if folder.exists()) / "connector.properties"


def settings_of(properties: str) -> dict[str, str]:
    """Return what a file of properties sets; of its escapes none is used."""
    lines = (line.partition("=") for line in properties.splitlines() if not line.startswith("#"))
    return {name: value for name, sign, value in lines if sign}


def worker(folder: Path, port: int, bootstrap_servers: str) -> str:
    """Return the worker's properties."""
    lines = SETTINGS | {
        "bootstrap.servers": bootstrap_servers,
        "listeners": f"http://127.0.0.1:{port}",
        "offset.storage.file.filename": str(folder / "offsets"),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def variables(url: str, topic_prefix: str, slot: str) -> dict[str, str]:
    """Return what the connector's configuration takes from the environment."""
    address = urlsplit(url)
    return {
        "PGHOST": address.hostname or "",
        "PGPORT": str(address.port or 5432),
        "PGUSER": unquote(address.username or ""),
        "PGPASSWORD": unquote(address.password or ""),
        "PGDATABASE": unquote(address.path.lstrip("/")),
        "FIRSTCOME_KAFKA__TOPIC_PREFIX": topic_prefix,
        "FIRSTCOME_RELAY__SLOT": slot,
    }


def command(folder: Path, log: Path) -> list[str]:
    """Return the command line of the worker in `folder`."""
    logging = files("firstcome.local") / "log4j2.properties"
    return java.command(
        "org.apache.kafka.connect.cli.ConnectStandalone",
        str(folder / "worker.properties"),
        str(configuration()),
        heap_mb=HEAP_MB,
        options=(
            f"-Dlog4j2.configurationFile={Path(str(logging)).as_uri()}",
            f"-Dfirstcome.log={log}",
        ),
        further=(jars.CONNECT,),
    )


def keep_offsets_of(folder: Path, slot: str) -> None:
    """Forget how far the connector has come if that was with another slot."""
    known = folder / "slot"
    if not known.exists() or known.read_text() != slot:
        (folder / "offsets").unlink(missing_ok=True)
        write_private(known, slot)


def main(folder: Path, port: int, log: Path) -> None:
    """Become the worker. Raises SlotUnusable, DatabaseUnavailable, InvalidSettings."""
    from firstcome import postgres
    from firstcome.relay import slot
    from firstcome.settings import Settings

    settings = Settings.load()
    name = settings.relay.slot_of("debezium")
    with closing(postgres.connect(settings.postgres, name="firstcome-connect")) as connection:
        status = slot.usable(slot.look(connection, name, "debezium"))
    folder.mkdir(mode=0o700, exist_ok=True)
    keep_offsets_of(folder, f"{name} {status.made_at}")
    write_private(
        folder / "worker.properties", worker(folder, port, settings.kafka.bootstrap_servers)
    )
    os.nice(settings.relay.niceness)
    url = settings.postgres.url.get_secret_value()
    own = variables(url, settings.kafka.topic_prefix, name)
    line = command(folder, log)
    os.execve(line[0], line, os.environ | own)  # noqa: S606 - becoming the worker is the point


def _told(port: int) -> list[tuple[str, str]]:
    """Return the states of the connector and its task, each with the first line of its trace."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", f"/connectors/{CONNECTOR}/status")
        found: Mapping[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return []
    finally:
        connection.close()
    parts = [found["connector"], *found["tasks"]] if "connector" in found else []
    return [(part["state"], part.get("trace", "").partition("\n")[0]) for part in parts]


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    except FirstcomeError as error:
        raise SystemExit(str(error)) from error
