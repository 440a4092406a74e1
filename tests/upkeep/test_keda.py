"""The ScaledObject for Kubernetes has the numbers of the settings."""

from math import ceil
from typing import Any

import pytest
import yaml

from firstcome.eventlog import topics
from firstcome.settings import AutoscalerSettings, KafkaSettings
from tests.upkeep.generate import ROOT

pytestmark = pytest.mark.upkeep

OURS, KAFKA = AutoscalerSettings(), KafkaSettings()


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    """What it asks of KEDA."""
    document = yaml.safe_load((ROOT / "deploy/keda/scaledobject.yaml").read_text())
    assert (document["apiVersion"], document["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    return dict(document["spec"])


def test_scaled_object_has_the_numbers_of_the_settings(spec: dict[str, Any]) -> None:
    assert spec["pollingInterval"] == OURS.poll_seconds
    assert spec["cooldownPeriod"] == OURS.cooldown_seconds
    assert spec["minReplicaCount"] == OURS.recorders_min
    assert spec["maxReplicaCount"] == KAFKA.partitions
    assert OURS.recorders_max is None
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    up, down = behavior["scaleUp"], behavior["scaleDown"]
    assert up["stabilizationWindowSeconds"] == ceil(OURS.confirm_looks * OURS.poll_seconds)
    assert down["stabilizationWindowSeconds"] == OURS.cooldown_seconds
    step = {"type": "Pods", "value": OURS.step_recorders_max}
    assert up["policies"] == [step | {"periodSeconds": OURS.settle_seconds}]
    assert down["policies"] == [step | {"periodSeconds": OURS.cooldown_seconds}]


def test_scaled_object_reads_the_lag_of_the_recorders(spec: dict[str, Any]) -> None:
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "kafka"
    asked = trigger["metadata"]
    assert asked["lagThreshold"] == str(OURS.lag_records_per_recorder)
    assert asked["consumerGroup"] == KAFKA.group_id
    assert asked["topic"] == topics.issuance_requested(KAFKA)


def test_scaled_object_avoids_what_is_known_to_go_wrong(spec: dict[str, Any]) -> None:
    asked = spec["triggers"][0]["metadata"]
    # Every one is a string: KEDA refuses others.
    assert {type(value) for value in asked.values()} == {str}
    assert asked["offsetResetPolicy"] == "earliest"
    assert asked["scaleToZeroOnInvalidOffset"] == "false"
    assert "true" not in (asked["limitToPartitionsWithLag"], asked["allowIdleConsumers"])
    assert spec["minReplicaCount"] >= 1
