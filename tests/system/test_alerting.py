"""From a fault to a message in Slack and back: processes and engines that are gone.

Prometheus and Alertmanager are real; Slack is a stand-in on loopback. Nothing but the fault may be
told: neither the start nor a healthy drop wakes anybody. While an alert fires, the commands of its
runbook are run. Tests build on each other: what an earlier one healed is over by the last.
"""

from collections.abc import Iterator

import pytest
from alerting import (
    ALERTS,
    asked,
    check_message,
    fired,
    follow_runbooks,
    held_down,
    now,
    over,
    told,
    watched_by,
)
from slack import Slack, fault_of
from troubles import visitors

from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import eventually
from firstcome.drill.ordeal import Ordeal
from firstcome.drill.processes import Processes

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ALERT_SECONDS = 30.0
# A scrape and an evaluation, 30 s that it must last, and Alertmanager's interval.
OVER_SECONDS = 75.0
HELD_BACK = {"LagOld", "LagLarge", "ClaimsStuck", "IssuanceSlow", "ProcessDown"}
FINAL_SECONDS = 120.0
ENGINES = {"RedisAway", "BrokerAway", "PostgresAway"}
DOORS = {"ApiGone", "ConsoleGone", "ProcessDown"}


@pytest.fixture(scope="module")
def watched(slack: Slack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with default settings."""
    with watched_by(slack, tmp_path_factory.mktemp("watched") / "stack") as running:
        yield running


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
        began = now()
        with held_down(faults, ["recorder-1"]):
            message = slack.heard("Critical: RecorderGone", ALERT_SECONDS, began)
            faults.note(f"told after {message.at - began:.1f} s")
            assert message.at - began <= ALERT_SECONDS
            check_message(message, ALERTS["RecorderGone"], watched)
            follow_runbooks(watched, ["RecorderGone"])
        back = now()
        ended = slack.heard("Over: RecorderGone", OVER_SECONDS, back)
        faults.note(f"its end was told after {ended.at - back:.1f} s")
        assert ended.color == "good"
        assert ended.text.startswith("Over since ")

    Ordeal(watched, seed).undergo(hold_down, FINAL_SECONDS)
    names = {each.title.split(": ")[1] for each in slack.messages}
    assert not names & HELD_BACK, "what follows from an absent recorder is not told beside it"
    assert slack.refused == []


def test_absent_engines_are_told_and_not_what_follows_from_them(
    watched: RunningStack, slack: Slack
) -> None:
    campaign_id, began = watched.create(100_000), now()
    faults = Processes(watched)
    with held_down(faults, ["redis", "kafka-1", "postgres"]), visitors(watched, campaign_id):
        told(watched, slack, ENGINES, began, all_fire=True)
        fired(watched, {"ClaimErrors"})
    heard = {each.title.split(": ")[1] for each in slack.messages if each.at >= began}
    assert "ClaimErrors" not in heard, "who reads that Redis is gone knows why claims fail"


def test_closed_doors_are_told_and_one_of_several_as_well(
    watched: RunningStack, slack: Slack
) -> None:
    watched.said("scale", "recorder", "2")
    began = now()
    with held_down(Processes(watched), ["api-1", "console-1", "recorder-2"]):
        told(watched, slack, DOORS, began, all_fire=True)
    watched.said("scale", "recorder", "1")


def test_end_of_all_of_it_is_told(watched: RunningStack, slack: Slack) -> None:
    over(watched, slack, ENGINES | DOORS, 0.0)
