"""Cutting batches and joining what was settled."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.errors import BadRecord
from firstcome.eventlog.consumer import Origin
from firstcome.eventlog.events import IssuanceRequested, decode, encode
from firstcome.eventlog.groups import consumer_options
from firstcome.issuance.batch import Batch, claims_in, halves, possible, slices
from firstcome.issuance.settled import Settled
from firstcome.model import CampaignId
from firstcome.settings import KafkaSettings

pytestmark = pytest.mark.unit


def batch_of(first: int, users: list[str], *, keyed: bool = False) -> Batch:
    attempts = list(range(1, len(users) + 1)) if keyed else []
    return Batch(IssuanceRequested(1, 1, first, users, attempts, 0.5), Origin("t", 0, first))


SIZES = st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=6)


def batches_of(sizes: list[tuple[int, bool]]) -> list[Batch]:
    return [
        batch_of(100 * index + 1, [f"u{index}-{n}" for n in range(size)], keyed=keyed)
        for index, (size, keyed) in enumerate(sizes)
    ]


def claims_of(batches: list[Batch]) -> list[object]:
    return [claim for batch in batches for claim in batch.claims()]


@given(SIZES)
def test_halves_hold_every_claim_once_and_in_order(sizes: list[tuple[int, bool]]) -> None:
    batches = batches_of(sizes)
    if claims_in(batches) < 2:
        return
    first, second = halves(batches)
    assert claims_of(first) + claims_of(second) == claims_of(batches)
    assert claims_in(first) == claims_in(batches) // 2
    assert first
    assert second


@given(SIZES, st.integers(1, 20))
def test_slices_hold_every_batch_once_and_keep_the_bound(
    sizes: list[tuple[int, bool]], claims_max: int
) -> None:
    batches = batches_of(sizes)
    runs = list(slices(batches, claims_max))
    assert [batch for run in runs for batch in run] == batches
    assert all(claims_in(run) <= claims_max or len(run) == 1 for run in runs)


@given(st.lists(st.sampled_from(["a", "b.c", "", "x y", "é", "\0", "x" * 65]), min_size=1))
def test_possible_separates_users_that_could_be_from_those_that_could_not(users: list[str]) -> None:
    batch = batch_of(1, users, keyed=True)
    parts, impossible = possible(batch)
    assert sorted([*claims_of(parts), *impossible]) == sorted(batch.claims())
    assert all(claim.user_id not in ("a", "b.c") for claim in impossible)
    assert all(part.words() is not None for part in parts)
    assert (batch.words() is None) == bool(impossible)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)), min_size=1, max_size=12))
def test_settled_ranges_are_joined_and_lose_nothing(spans: list[tuple[int, int]]) -> None:
    settled, expected = Settled(), {}
    for first, more in spans:
        settled.add(CampaignId(1), 1, [(first, first + more, 1)])
        expected |= dict.fromkeys(range(first, first + more + 1), 1)
    settled.add(CampaignId(1), 1, [(100, 100, 3), (101, 101, 2)])
    expected |= {100: 3, 101: 2}
    ranges = settled.coalesced()[CampaignId(1), 1]
    found = {n: code for first, last, code in ranges for n in range(first, last + 1)}
    assert found == expected
    assert ranges == sorted(ranges)
    joined = pairwise(ranges)
    assert all(b[0] > a[1] + 1 or b[2] != a[2] for a, b in joined)


@pytest.mark.parametrize("field", ["campaign_id", "epoch"])
def test_record_with_a_number_that_no_column_holds_is_undecodable(field: str) -> None:
    numbers = {"campaign_id": 1, "epoch": 1} | {field: 2**63}
    event = IssuanceRequested(**numbers, first_position=1, users=["a"], attempts=[], requested_at=0)
    with pytest.raises(BadRecord, match="beyond"):
        decode(encode(event))


def test_consumer_leaves_the_broker_its_times_in_the_new_protocol() -> None:
    options = consumer_options(KafkaSettings())
    assert options["group.protocol"] == "consumer"
    absent = {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"}
    assert not absent & set(options)


def test_consumer_has_the_values_of_the_source_profile() -> None:
    options = consumer_options(KafkaSettings(profile="source"))
    expected = {
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "max.poll.interval.ms": 300_000,
        "session.timeout.ms": 30_000,
        "heartbeat.interval.ms": 3000,
    }
    assert expected.items() <= options.items()
