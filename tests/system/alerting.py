"""What is asked of every alert: it is told as it should be, its runbook runs, it ends."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from slack import Message, Slack

from firstcome.bench.stack import RunningStack, started
from firstcome.drill.endings import ENDING, Ended
from firstcome.drill.eventually import eventually
from firstcome.drill.processes import Processes
from firstcome.local.monitoring import PACKAGES, PROGRAMS
from tests.upkeep.alerts import Alert, alerts
from tests.upkeep.generate import ROOT

ALERTS = {alert.name: alert for alert in alerts()}
WARNING_SECONDS = 180.0
# What a machine with other work does to processes is no trouble of ours, and tells for minutes.
OF_THE_MACHINE = {"CollectorPauses", "LoopPauses"}


@contextmanager
def watched_by(slack: Slack, state: Path, *options: str, **settings: str) -> Iterator[RunningStack]:
    """Lend a stack that Prometheus and Alertmanager watch; Slack is told."""
    if any(all(shutil.which(each) is None for each in names) for names in PROGRAMS.values()):
        pytest.fail(f"no alert is seen to be told: apt-get install {PACKAGES}")
    settings |= {"FIRSTCOME_MONITORING__SLACK_WEBHOOK_URL": slack.url}
    with started(state, "--monitoring", *options, **settings) as running:
        yield running


def hurry(stack: RunningStack, changes: Mapping[str, Mapping[str, str]]) -> None:
    """Let Prometheus judge by other numbers: by alert, what stands there and what is to.

    For what would need more patience or a larger machine than a test has. That the numbers of
    deploy/ are kept is promtool's to say.
    """

    def judged() -> Any:
        rules = [rule for group in asked(stack, "rules")["groups"] for rule in group["rules"]]
        return [(each["query"], each.get("duration")) for each in rules]

    before = judged()
    file = stack.state / "prometheus" / "firstcome.rules.yml"
    text = file.read_text()
    for name, words in changes.items():
        head, mark, rest = text.partition(f"- alert: {name}\n")
        block, following, tail = rest.partition("- alert: ")
        for old, new in words.items():
            assert old in block, f"{name}: {old}"
            block = block.replace(old, new)
        text = head + mark + block + following + tail
    file.write_text(text)
    os.kill(Processes(stack).pid("prometheus"), signal.SIGHUP)
    eventually("other numbers count", judged, lambda now: now != before)


def asked(stack: RunningStack, path: str) -> Any:
    """Return what Prometheus says."""
    url = f"{stack.urls['prometheus']}/api/v1/{path}"
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - the stack's own address
        return json.load(answer)["data"]


def firing(stack: RunningStack) -> set[str]:
    """Return the names of all alerts that Prometheus says are firing."""
    found = asked(stack, "alerts")["alerts"]
    return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}


def fired(stack: RunningStack, expected: Iterable[str], seconds: float = WARNING_SECONDS) -> None:
    """Wait until all of these have fired; each may be over by the time of the last."""
    missing = set(expected)

    def look() -> set[str]:
        missing.difference_update(firing(stack))
        return missing

    eventually("every alert has fired", look, lambda left: not left, seconds, every=1.0)


def told(
    stack: RunningStack, slack: Slack, expected: Iterable[str], since: float, *, all_fire: bool
) -> None:
    """Wait until Slack has heard of each alert, look at its message, follow its runbook.

    `all_fire`: they still do when the last one is heard.
    """
    for name in sorted(expected):
        alert = ALERTS[name]
        title = f"{alert.labels['severity'].title()}: {name}"
        check_message(slack.heard(title, WARNING_SECONDS, since), alert, stack)
    if all_fire:
        assert set(expected) <= firing(stack)
    follow_runbooks(stack, expected)


def over(stack: RunningStack, slack: Slack, expected: Iterable[str], since: float) -> None:
    """Wait until Slack has heard that each is over, and nothing else fires; judge."""
    for name in sorted(expected):
        slack.heard(f"Over: {name}", WARNING_SECONDS, since)
    eventually(
        "all else is well", lambda: firing(stack) - OF_THE_MACHINE, lambda left: not left, 180
    )
    assert slack.refused == []
    assert stack.said("verify")["held"] is True


def check_message(message: Message, alert: Alert, stack: RunningStack) -> None:
    """Fail unless a message says what its reader needs."""
    lines = message.text.splitlines()
    assert message.color == {"critical": "danger", "warning": "warning"}[alert.labels["severity"]]
    # What stands in braces is the value at that moment.
    summary = re.split(r"{{.*?}}", alert.annotations["summary"])
    assert re.fullmatch(".+".join(map(re.escape, summary)), lines[0])
    said = re.split(r"{{.*?}}", f"*To do:* {alert.annotations['action']}")
    assert any(re.fullmatch(".+".join(map(re.escape, said)), line) for line in lines)
    assert f"*For customers:* {alert.annotations['impact']}" in lines
    assert f"docs/runbooks/{alert.page}" in lines[-1]
    assert message.links["Graph"].startswith(f"{stack.urls['prometheus']}/graph?g0.expr=")
    assert message.links["Silence"].startswith(f"{stack.urls['alertmanager']}/#/silences/new?")
    assert alert.name in message.links["Silence"]
    assert message.title_link == message.links["Graph"]


def follow_runbooks(stack: RunningStack, names: Iterable[str]) -> None:
    """Run what these pages say under "How to look", each command once."""
    lines = {line: None for name in sorted(names) for line in _commands(name)}
    with ThreadPoolExecutor(2) as threads:
        for judging in [threads.submit(_run, stack, line) for line in lines]:
            judging.result()


def _commands(name: str) -> list[str]:
    page = (ROOT / "docs/runbooks" / ALERTS[name].page).read_text(encoding="utf-8")
    (block,) = re.findall(r"## How to look\n\n```sh\n(.*?)```", page, re.DOTALL)
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def _run(stack: RunningStack, line: str) -> None:
    """The campaigns and letters of examples are none."""
    process = stack.start(*line.split()[1:])
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


def now() -> float:
    """Return the time in which messages are dated."""
    return time.monotonic()
