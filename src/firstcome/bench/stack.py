"""A whole system as its users and operators reach it: the command line and the HTTP ports.

Shared by acceptance tests, fault tests and drills. A RunningStack names a state folder; every
verb runs in a process of its own with that folder, and with no setting that leaks in from outside.
"""

import http.client
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from firstcome.bench.tokens import Signer
from firstcome.errors import FirstcomeError
from firstcome.settings import AuthSettings, Settings

FIRSTCOME = (sys.executable, "-m", "firstcome")
VERB_SECONDS = 150.0


class VerbFailed(FirstcomeError):
    """A verb ended with another exit code than it should; the message holds its last words."""


class Told(NamedTuple):
    """One HTTP answer; header names are in lower case, `json` is None for any other body."""

    status: int
    headers: dict[str, str]
    body: bytes
    json: Any

    @property
    def code(self) -> str | None:
        """The problem's code."""
        return self.json.get("code") if isinstance(self.json, dict) else None


class RunningStack:
    """One stack, by its state folder. Making one starts nothing."""

    def __init__(self, state: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are environment variables for every verb."""
        self.state = state
        outside = {k: v for k, v in os.environ.items() if not k.startswith("FIRSTCOME_")}
        self.environment = outside | {"FIRSTCOME_STATE": str(state)} | dict(settings or {})

    def start(self, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        """Begin a verb without waiting for it."""
        return subprocess.Popen(
            [*FIRSTCOME, *arguments],
            env=self.environment | settings,
            cwd=self.state.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, exit_code: int | None = 0, **settings: str) -> str:
        """Run a verb; return its standard output. Its exit code must be as said."""
        return finished(self.start(*arguments, **settings), exit_code)

    def said(self, *arguments: str, exit_code: int | None = 0, **settings: str) -> Any:
        """Run a verb with --json; return its document."""
        return json.loads(self.run(*arguments, "--json", exit_code=exit_code, **settings))

    def create(self, stock: int, *options: str, name: str = "a campaign") -> int:
        """Make a campaign; return its number once its gate is open."""
        made = self.said("campaign", "create", "--name", name, "--stock", str(stock), *options)
        if not made["gate_follows"]:
            raise VerbFailed(f"the gate does not know the new campaign: {made}")
        return int(made["campaign_id"])

    def status(self) -> dict[str, Any]:
        """Return what status says, whatever it is."""
        return dict(self.said("status", exit_code=None))

    def processes(self) -> list[dict[str, Any]]:
        """Return what status says of each process."""
        return list(self.status()["processes"])

    @cached_property
    def urls(self) -> dict[str, str]:
        """Every address; a stack keeps its addresses."""
        return dict(self.status()["urls"])

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that `up` wrote: addresses and secrets."""
        return tomllib.loads((self.state / "settings.toml").read_text())

    @cached_property
    def identify(self) -> Callable[[str], bytes]:
        """Return the header line that says who a user is, line end included; for an hour."""
        return self.fresh_identities()

    def fresh_identities(self) -> Callable[[str], bytes]:
        """Return the same with tokens that have just been issued."""
        return self._signer().headers()

    def forgeries(self) -> list[Callable[[str], bytes]]:
        """Return what makes header lines by which this stack may let nobody in."""
        return self._signer().forgeries()

    def _signer(self) -> Signer:
        return Signer.of(AuthSettings(**self.settings["auth"]))

    def ask(
        self,
        method: str,
        path: str,
        user: str | None = None,
        body: Any = None,
        *,
        port: str = "api",
        **headers: str,
    ) -> Told:
        """Ask one of the HTTP ports; underscores in header names stand for hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if user is not None:
            name, _, value = self.identify(user).decode().strip().partition(": ")
            sent[name] = value
        content = None
        if body is not None:
            content, sent["Content-Type"] = json.dumps(body), "application/json"
        address = urlsplit(self.urls[port])
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=40)
        try:
            connection.request(method, path, content, sent)
            return told(connection.getresponse())
        finally:
            connection.close()

    def claim(self, campaign_id: int, user: str, key: str | None = None) -> Told:
        """Ask for a coupon."""
        headers = {} if key is None else {"Idempotency_Key": key}
        return self.ask("POST", f"/v1/campaigns/{campaign_id}/issuances", user, **headers)

    def standing(self, campaign_id: int, user: str, wait: float = 10) -> Told:
        """Ask where a user stands, once that is final."""
        return self.ask("GET", f"/v1/campaigns/{campaign_id}/issuances/me?wait={wait}", user)

    def operate(self, method: str, path: str, body: Any = None, **headers: str) -> Told:
        """Ask the operators' port with its key."""
        key = self.settings["console"]["operator_key"]
        headers = {"Authorization": f"Bearer {key}", "X_Operator": "tester"} | headers
        return self.ask(method, path, body=body, port="console", **headers)


def settings_of(stack: RunningStack) -> Settings:
    """Return the settings of a stack's own file and the defaults, environment left out."""
    document = stack.settings
    sections = {
        name: field.annotation(**document.get(name, {}))
        for name, field in Settings.model_fields.items()
        if field.annotation is not None
    }
    return Settings.model_construct(**sections)


@contextmanager
def started(state: Path, *options: str, **settings: str) -> Iterator[RunningStack]:
    """Start a stack of one's own, settings as variables; remove it with its data at the end."""
    running = RunningStack(state, settings)
    try:
        running.said("up", *options)
        yield running
    finally:
        running.said("down", "--wipe")


def told(response: http.client.HTTPResponse) -> Told:
    """Read an answer as a whole."""
    body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    is_json = headers.get("content-type", "").partition(";")[0].endswith("json")
    return Told(response.status, headers, body, json.loads(body) if is_json else None)


def finished(process: "subprocess.Popen[str]", exit_code: int | None) -> str:
    """Wait for a verb's end; return its standard output. exit_code None: any."""
    try:
        out, err = process.communicate(timeout=VERB_SECONDS)
    finally:
        process.kill()
    verb = list(process.args)[len(FIRSTCOME) :]  # type: ignore[arg-type]
    said = f"{verb!r} ended with {process.returncode}\n{out[-4000:]}\n{err[-4000:]}"
    if exit_code not in (None, process.returncode):
        raise VerbFailed(said)
    return out
