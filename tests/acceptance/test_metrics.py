"""What Prometheus reads of a stack: every process tells all it should, and numbers move."""

from importlib.metadata import version

import pytest

from firstcome.metrics import catalogue
from running import RunningStack, eventually
from tests.scraped import Scraped, scraped

pytestmark = pytest.mark.acceptance

# Told only when there is something to tell: a failure, a letter, a slot, a drift.
RARE = {
    *(catalogue.REFUSALS, catalogue.APPEND_FAILURES, catalogue.COMPENSATED, catalogue.HELD),
    *(catalogue.DRIFT, catalogue.DEAD_LETTERS, catalogue.RELAY_INTERRUPTED),
    *(catalogue.SLOT_RETAINED, catalogue.SLOT_LOST),
}

# The autoscaler runs where it is asked for: see test_scaling.py.
ROLES = [role for role in catalogue.EVERY if role != catalogue.AUTOSCALER]


def told(stack: RunningStack, role: str) -> Scraped:
    """Return what the only process of a role tells."""
    [process] = [each for each in stack.processes() if each["role"] == role]
    return scraped(process["metrics_url"])


def test_every_process_tells_what_is_listed(stack: RunningStack) -> None:
    campaign_id = stack.create(5)
    assert stack.claim(campaign_id, "ann").status == 202
    stack.standing(campaign_id, "ann")
    for role in ROLES:
        wanted = {each.name for each in catalogue.METRICS if role in each.roles}
        rare = {each.name for each in RARE}
        eventually(
            f"{role} tells everything",
            lambda role=role, wanted=wanted, rare=rare: (
                wanted - rare - told(stack, role).names("firstcome_")
            ),
            lambda missing: not missing,
            seconds=10,
        )
        process = told(stack, role)
        assert process.names("firstcome_") <= wanted
        assert process.value("firstcome_process_info", role=role, version=version("firstcome")) == 1
        assert process.value("process_resident_memory_bytes") > 10e6


def test_numbers_follow_a_claim(stack: RunningStack) -> None:
    campaign_id = stack.create(2)
    number = str(campaign_id)
    before = {role: told(stack, role) for role in ROLES}
    for user in ("ann", "bob", "cat"):
        stack.claim(campaign_id, user)
    for user in ("ann", "bob"):
        assert stack.standing(campaign_id, user).json["status"] == "ISSUED"

    def grown(role: str, name: str, **labels: str) -> float:
        return told(stack, role).value(name, **labels) - before[role].value(name, **labels)

    assert grown("api", "firstcome_claims_asked_total") == 3
    assert grown("api", "firstcome_claim_seconds_count", outcome="REQUESTED") == 2
    assert grown("api", "firstcome_claim_seconds_count", outcome="COUPON_OUT_OF_STOCK") == 1
    assert grown("api", "firstcome_claims_appended_total") == 2
    assert grown("api", "firstcome_status_reads_total") == 2
    results = {"engine": "kafka", "result": "issued"}
    assert grown("recorder", "firstcome_claims_recorded_total", **results) == 2
    assert grown("recorder", "firstcome_issued_after_seconds_count", engine="kafka") == 2
    eventually(
        "two events are published",
        lambda: grown("relay", "firstcome_events_published_total"),
        lambda published: published == 2,
    )
    positions = {"campaign_id": number, "status": "ISSUED"}
    eventually(
        "the console has seen both",
        lambda: told(stack, "console").value("firstcome_campaign_positions", **positions),
        lambda issued: issued == 2,
    )
    console = told(stack, "console")
    assert console.value("firstcome_campaign_stock_left", campaign_id=number) == 0
    assert console.value("firstcome_gate_open", campaign_id=number) == 1
    assert console.value("firstcome_database_up") == console.value("firstcome_redis_up") == 1
