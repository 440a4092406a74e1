"""Prometheus and Alertmanager of the local stack, with the files of deploy/ as they are.

    python -m firstcome.local.monitoring FOLDER PORT

writes Alertmanager's files from the settings, and then becomes Alertmanager. Both programs are the
system's (Debian: prometheus, prometheus-alertmanager); their own services are not touched. Whom to
watch the supervisor writes into a file, which Prometheus reads again when it changes. Without the
address of a webhook alerts are told to nobody; both programs still show them.
"""

import http.client
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from firstcome.errors import FirstcomeError
from firstcome.local.folder import write_private
from firstcome.local.process import Spec

PROBE_SECONDS = 0.25
RETENTION = ("--storage.tsdb.retention.time=7d", "--storage.tsdb.retention.size=512MB")
# Debian's name comes first: `alertmanager` alone may be anything.
PROGRAMS = {
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}
PACKAGES = "prometheus prometheus-alertmanager"
TARGETS, ALERTMANAGERS = "targets.json", "alertmanagers.json"
RULES = ("prometheus.yml", "firstcome.rules.yml")
TEMPLATE, CONFIGURATION = "firstcome.tmpl", "alertmanager.yml"
# Where deploy/alertmanager/alertmanager.yml expects the webhook's address.
WEBHOOK = "/etc/prometheus/slack-webhook-url"
LEAVING = ("stopping", "stopped")  # on purpose: nobody is told of it
RECEIVERS = "\nreceivers:\n"


class MonitoringMissing(FirstcomeError):
    """A program that was asked for is not installed."""


def program(name: str) -> str:
    """Return where `prometheus` or `alertmanager` is. Raises MonitoringMissing."""
    for each in PROGRAMS[name]:
        if found := shutil.which(each):
            return found
    raise MonitoringMissing(
        f"--monitoring needs {PROGRAMS[name][0]}, which is not installed: nothing was started. "
        f"Install it (Debian: apt-get install --no-install-recommends {PACKAGES}) or start "
        "without --monitoring"
    )


def specs(state: Path, ports: Mapping[str, int], environment: Mapping[str, str]) -> list[Spec]:
    """Return how to run both. `ports` by the names of PROGRAMS. Raises MonitoringMissing."""
    prometheus, alertmanager = state / "prometheus", state / "alertmanager"
    return [
        Spec(
            name="alertmanager",
            role="alertmanager",
            command=[
                *(sys.executable, "-m", "firstcome.local.monitoring"),
                *(str(alertmanager), str(ports["alertmanager"])),
            ],
            environment=environment,
            prepare=lambda: _copy("alertmanager", (TEMPLATE,), alertmanager),
            is_ready=lambda life: _is_ready(ports["alertmanager"]),
        ),
        Spec(
            name="prometheus",
            role="prometheus",
            command=[
                program("prometheus"),
                f"--config.file={prometheus / RULES[0]}",
                f"--storage.tsdb.path={prometheus / 'data'}",
                *RETENTION,
                *_listening(ports["prometheus"]),
            ],
            prepare=lambda: _prepare_prometheus(prometheus, ports["alertmanager"]),
            is_ready=lambda life: _is_ready(ports["prometheus"]),
        ),
    ]


def write_targets(state: Path, processes: Iterable[Mapping[str, Any]]) -> None:
    """Write whom Prometheus has to watch: all of status' processes that tell their metrics."""
    folder = state / "prometheus"
    folder.mkdir(mode=0o700, exist_ok=True)
    targets = [
        {
            "targets": [urlsplit(each["metrics_url"]).netloc],
            "labels": {"process": each["name"], "role": each["role"]},
        }
        for each in processes
        if each["metrics_url"] and each["state"] not in LEAVING
    ]
    text = json.dumps(targets, indent=1) + "\n"
    file = folder / TARGETS
    if not file.exists() or file.read_text() != text:
        write_private(file, text)


def configuration(webhook: Path | None) -> str:
    """Return Alertmanager's configuration. `webhook` holds an address; None: tell nobody."""
    text = (deployed("alertmanager") / CONFIGURATION).read_text(encoding="utf-8")
    if webhook is None:
        return text.partition(RECEIVERS)[0] + RECEIVERS + "  - name: slack\n"
    return text.replace(WEBHOOK, str(webhook))


def deployed(name: str) -> Path:
    """Return a folder of deploy/: the checkout's, or the copy that a wheel carries."""
    checkout = Path(__file__).parents[3] / "deploy" / name
    return checkout if checkout.exists() else Path(__file__).parent / name


def main(folder: Path, port: int) -> None:
    """Become Alertmanager. Raises InvalidSettings, MonitoringMissing."""
    from firstcome.settings import Settings

    address = Settings.load().monitoring.slack_webhook_url
    webhook = folder / "slack-webhook-url"
    webhook.unlink(missing_ok=True)
    if address is not None:
        write_private(webhook, address.get_secret_value())
    write_private(folder / CONFIGURATION, configuration(webhook if address else None))
    line = [
        program("alertmanager"),
        f"--config.file={folder / CONFIGURATION}",
        f"--storage.path={folder / 'data'}",
        "--cluster.listen-address=",  # it is alone
        *_listening(port),
    ]
    os.execv(line[0], line)  # noqa: S606 - becoming the program is the point


def _listening(port: int) -> tuple[str, str]:
    # The second is what links in messages begin with.
    return f"--web.listen-address=127.0.0.1:{port}", f"--web.external-url=http://127.0.0.1:{port}"


def _prepare_prometheus(folder: Path, alertmanager_port: int) -> None:
    _copy("prometheus", RULES, folder)
    targets = [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]
    write_private(folder / ALERTMANAGERS, json.dumps(targets) + "\n")


def _copy(name: str, files: Iterable[str], folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for file in files:
        write_private(folder / file, (deployed(name) / file).read_text(encoding="utf-8"))


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except FirstcomeError as error:
        raise SystemExit(str(error)) from error
