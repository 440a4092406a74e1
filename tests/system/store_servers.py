"""Real Prometheus and InfluxDB on loopback, with folders and ports of their own, asked by HTTP.

The services that Debian's packages bring are not touched.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from firstcome.drill.eventually import eventually
from firstcome.drill.link import free_ports
from firstcome.local.leash import leashed

READY_SECONDS = 30.0


class Answer(NamedTuple):
    """What a server said; a refusal is an answer as well."""

    status: int
    document: Any


class StoreServer:
    """One server in one folder; it may be killed and started again."""

    def __init__(
        self,
        port: int,
        ready_path: str,
        command: list[str],
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._ready_path, self._log = ready_path, log
        self._command, self._environment = leashed(command), os.environ | environment
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def prometheus(cls, folder: Path) -> "StoreServer":
        """One that takes remote write, and scrapes nothing."""
        (port,) = free_ports(1)
        folder.mkdir()
        (folder / "prometheus.yml").write_text("global: {}\n")
        command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
        ]
        return cls(port, "/-/ready", command, {}, folder / "log")

    @classmethod
    def influxdb(cls, folder: Path) -> "StoreServer":
        """One without databases, and without a report about itself."""
        port, backup_port = free_ports(2)
        folder.mkdir()
        environment = {
            "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{backup_port}",
            "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
            "INFLUXDB_META_DIR": str(folder / "meta"),
            "INFLUXDB_DATA_DIR": str(folder / "data"),
            "INFLUXDB_DATA_WAL_DIR": str(folder / "wal"),
            "INFLUXDB_MONITOR_STORE_ENABLED": "false",
            "INFLUXDB_REPORTING_DISABLED": "true",
        }
        return cls(port, "/ping", ["influxd", "-config", os.devnull], environment, folder / "log")

    def start(self) -> "StoreServer":
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log
            )
        eventually(f"{self.url} answers", self._is_ready, seconds=READY_SECONDS)
        return self

    def kill(self) -> None:
        """End it without a warning, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, path: str, **parameters: str) -> Answer:
        """POST a form, and return the JSON that comes back."""
        form = urlencode(parameters).encode()
        try:
            with urlopen(self.url + path, form, timeout=10) as reply:  # noqa: S310 - loopback
                return Answer(reply.status, json.load(reply))
        except HTTPError as error:
            with error:
                return Answer(error.code, json.load(error))

    def _is_ready(self) -> bool:
        try:
            with urlopen(self.url + self._ready_path, timeout=5) as reply:  # noqa: S310
                return bool(reply.status < 300)
        except OSError:
            return False
