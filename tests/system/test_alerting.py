"""From a fault to a message in Slack and back, with real Prometheus and Alertmanager.

Slack is a stand-in on loopback. Nothing but the fault may be told: neither the start nor a healthy
drop wakes anybody. While an alert fires, the commands of its runbook are run.
"""

import json
import re
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import pytest
from engines import ask_redis
from slack import Message, Slack, fault_of

from firstcome import postgres
from firstcome.bench.stack import RunningStack, started
from firstcome.drill.endings import ENDING, Ended
from firstcome.drill.eventually import eventually
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.poison import Poison
from firstcome.drill.processes import Processes
from firstcome.local.monitoring import PACKAGES, PROGRAMS
from firstcome.settings import PostgresSettings
from tests.upkeep.alerts import Alert, alerts
from tests.upkeep.generate import ROOT

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ALERTS = {alert.name: alert for alert in alerts()}
ALERT_SECONDS = 30.0
# A scrape and an evaluation, 30 s that it must last, and Alertmanager's interval.
OVER_SECONDS = 75.0
WARNING_SECONDS = 180.0
HELD_BACK = {"LagOld", "LagLarge", "ClaimsStuck", "IssuanceSlow", "ProcessDown"}
FINAL_SECONDS = 120.0


@pytest.fixture(scope="module")
def slack() -> Iterator[Slack]:
    """A webhook of this module's own."""
    slack = Slack()
    yield slack
    slack.close()


@pytest.fixture(scope="module")
def watched(slack: Slack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack that Prometheus and Alertmanager watch; Slack is told."""
    if any(all(shutil.which(each) is None for each in names) for names in PROGRAMS.values()):
        pytest.fail(f"no alert is seen to be told: apt-get install {PACKAGES}")
    state = tmp_path_factory.mktemp("watched") / "stack"
    with started(
        state, "--monitoring", FIRSTCOME_MONITORING__SLACK_WEBHOOK_URL=slack.url
    ) as running:
        yield running


def asked(stack: RunningStack, path: str) -> Any:
    """Return what Prometheus says."""
    url = f"{stack.urls['prometheus']}/api/v1/{path}"
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - the stack's own address
        return json.load(answer)["data"]


def firing(stack: RunningStack) -> set[str]:
    """Return the names of all alerts that Prometheus says are firing."""
    found = asked(stack, "alerts")["alerts"]
    return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}


def check_message(message: Message, alert: Alert, stack: RunningStack) -> None:
    """Fail unless a message says what its reader needs."""
    lines = message.text.splitlines()
    assert message.color == {"critical": "danger", "warning": "warning"}[alert.labels["severity"]]
    # What stands in braces is the value at that moment.
    summary = re.split(r"{{.*?}}", alert.annotations["summary"])
    assert re.fullmatch(".+".join(map(re.escape, summary)), lines[0])
    assert f"*For customers:* {alert.annotations['impact']}" in lines
    assert f"*To do:* {alert.annotations['action']}" in lines
    assert f"docs/runbooks/{alert.page}" in lines[-1]
    assert message.links["Graph"].startswith(f"{stack.urls['prometheus']}/graph?g0.expr=")
    assert message.links["Silence"].startswith(f"{stack.urls['alertmanager']}/#/silences/new?")
    assert alert.name in message.links["Silence"]
    assert message.title_link == message.links["Graph"]


def follow_runbook(stack: RunningStack, name: str) -> None:
    """Run what a page says under "How to look"; the campaigns and letters of examples are none."""
    page = (ROOT / "docs/runbooks" / ALERTS[name].page).read_text(encoding="utf-8")
    (block,) = re.findall(r"## How to look\n\n```sh\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines():
        command = line.partition("#")[0].split()
        process = stack.start(*command[1:])
        _, said = process.communicate(timeout=120)
        assert process.returncode in (0, 1, 3), f"{line}: {said}"
        assert "Traceback" not in said, f"{line}: {said}"


@contextmanager
def held_down(faults: Processes, names: Iterable[str]) -> Iterator[None]:
    """End processes; nobody starts them again before the end, which waits until all work."""
    with ThreadPoolExecutor() as threads:
        ended = [Ended(faults, each, _ending(each)) for each in names]
        try:
            for each in ended:
                each.inject()
            yield
        finally:
            # At once: the supervisor stands still for as long as one of them is held.
            for healing in [threads.submit(each.heal) for each in ended]:
                healing.result()


def _ending(name: str) -> signal.Signals:
    return ENDING.get(name.partition("-")[0], signal.SIGKILL)


def test_stand_in_refuses_what_slack_would_refuse() -> None:
    part = {"color": "good", "title": "t", "title_link": "http://x", "text": "a", "fallback": "t"}
    assert fault_of({"attachments": [part]}) == ""
    for wrong in (
        *({"text": ""}, {"text": "{{ .Status }}"}, {"title": "<no value>"}, {"color": "red"}),
        *({"title_link": ""}, {"text": "a" * 3001}, {"unheard": "of"}),
    ):
        assert fault_of({"attachments": [part | wrong]}), wrong
    for document in ({}, {"attachments": []}, {"attachments": [part], "unheard": "of"}, "text"):
        assert fault_of(document), document


def test_prometheus_reads_every_process_and_judges_every_rule(watched: RunningStack) -> None:
    telling = [each for each in watched.processes() if each["metrics_url"]]

    def unread() -> set[str]:
        targets = asked(watched, "targets?state=active")["activeTargets"]
        read = {each["labels"]["process"] for each in targets if each["health"] == "up"}
        return {each["name"] for each in telling} - read

    eventually("every process is read", unread, lambda missing: not missing)

    def unjudged() -> list[str]:
        rules = [rule for group in asked(watched, "rules")["groups"] for rule in group["rules"]]
        assert len(rules) >= len(ALERTS)
        return [
            f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"
        ]

    eventually("every rule is judged", unjudged, lambda faulty: not faulty)
    roles = {each["labels"]["role"] for each in asked(watched, "targets")["activeTargets"]}
    assert {"api", "recorder", "sweeper", "relay", "console"} <= roles


def test_killed_recorder_wakes_somebody_and_its_return_is_told(
    watched: RunningStack, slack: Slack, seed: int
) -> None:
    def hold_down(faults: Processes) -> None:
        assert slack.messages == [], "a start and a healthy drop wake nobody"
        began = time.monotonic()
        with held_down(faults, ["recorder-1"]):
            message = slack.heard("Critical: RecorderGone", ALERT_SECONDS, began)
            faults.note(f"told after {message.at - began:.1f} s")
            assert message.at - began <= ALERT_SECONDS
            check_message(message, ALERTS["RecorderGone"], watched)
            follow_runbook(watched, "RecorderGone")
        back = time.monotonic()
        over = slack.heard("Over: RecorderGone", OVER_SECONDS, back)
        faults.note(f"its end was told after {over.at - back:.1f} s")
        assert over.color == "good"
        assert over.text.startswith("Over since ")

    Ordeal(watched, seed).undergo(hold_down, FINAL_SECONDS)
    names = {each.title.split(": ")[1] for each in slack.messages}
    assert not names & HELD_BACK, "what follows from an absent recorder is not told beside it"
    assert slack.refused == []


def test_absent_engines_are_told_and_their_return_too(watched: RunningStack, slack: Slack) -> None:
    expected = {"RedisAway", "BrokerAway", "PostgresAway"}
    began = time.monotonic()
    with held_down(Processes(watched), ["redis", "kafka-1", "postgres"]):
        told(watched, slack, expected, began)
    over(watched, slack, expected, began)


def test_quiet_troubles_are_told_until_their_runbooks_are_followed(
    watched: RunningStack, slack: Slack
) -> None:
    expected = {"SweeperGone", "RelayGone", "DeadLettersOpen", "TransactionLong", "RedisMemoryHigh"}
    began = time.monotonic()
    Poison(watched, [b"\xff\x00"]).inject()
    with (
        held_down(Processes(watched), ["sweeper-1", "relay-1"]),
        long_transaction(watched),
        little_memory(watched),
    ):
        told(watched, slack, expected, began)
    decided = watched.said("dead-letters", "discard", "--reason", "UNDECODABLE")
    assert decided
    over(watched, slack, expected, began)


def told(stack: RunningStack, slack: Slack, expected: set[str], began: float) -> None:
    """Wait until Slack has heard of each alert, look at its message and follow its runbook."""
    for name in sorted(expected):
        alert = ALERTS[name]
        title = f"{alert.labels['severity'].title()}: {name}"
        check_message(slack.heard(title, WARNING_SECONDS, began), alert, stack)
        follow_runbook(stack, name)


def over(stack: RunningStack, slack: Slack, expected: set[str], began: float) -> None:
    """Wait until Slack has heard that each is over, and nothing fires; judge."""
    for name in sorted(expected):
        slack.heard(f"Over: {name}", WARNING_SECONDS, began)
    eventually("nothing fires any more", lambda: firing(stack), lambda left: not left, 180)
    assert slack.refused == []
    assert stack.said("verify")["held"] is True


@contextmanager
def long_transaction(stack: RunningStack) -> Iterator[None]:
    """Hold a transaction open."""
    settings = PostgresSettings(**stack.settings["postgres"])
    patient = postgres.Timeouts(transaction_seconds=1200)
    with postgres.connect(settings, name="a-long-report", timeouts=patient) as connection:
        connection.execute("SELECT 1")
        yield


@contextmanager
def little_memory(stack: RunningStack) -> Iterator[None]:
    """Let Redis have little more memory than it uses."""
    found = re.search(r"^used_memory:(\d+)", ask_redis(stack, "INFO", "memory"), re.MULTILINE)
    assert found is not None
    ask_redis(stack, "CONFIG", "SET", "maxmemory", str(int(found[1]) * 10 // 9))
    try:
        yield
    finally:
        ask_redis(stack, "CONFIG", "SET", "maxmemory", "0")
