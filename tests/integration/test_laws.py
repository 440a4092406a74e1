"""The check of the laws, against a drop that keeps them and against every way to break one."""

import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from firstcome.errors import CampaignNotFound, GateUnavailable, LogUnavailable
from firstcome.eventlog.events import IssuanceRequested, encode
from firstcome.laws import LawResult, Laws, Violation
from firstcome.laws.kinds import KINDS, LAWS
from firstcome.settings import AuthSettings, Settings
from tests.integration.kept_drop import LAST, KeptDrop, user_of
from tests.integration.planted import PLANTS

pytestmark = pytest.mark.integration

CONSTRAINTS = """
ALTER TABLE issuances DROP CONSTRAINT issuances_pkey;
DROP INDEX issuances_live_user;
DROP TRIGGER issuances_within_the_limit ON issuances;
"""


@pytest.fixture
def drop(settings: Settings) -> Iterator[KeptDrop]:
    """A drop in the database and the topic of this test."""
    quick = settings.laws.model_copy(update={"recheck_seconds": 0.05})
    kept = KeptDrop(settings.model_copy(update={"laws": quick}))
    yield kept
    kept.close()


@pytest.fixture
def number() -> int:
    """The number of a campaign that no other test has; room for a hundred after it."""
    return int(time.time_ns() // 1000 % 1_000_000_000) + 1000


def violations(results: list[LawResult]) -> list[Violation]:
    """Return all that was found."""
    return [violation for result in results for violation in result.violations]


def test_laws_hold_when_nothing_is_wrong(drop: KeptDrop, number: int) -> None:
    for offset, engine in enumerate(("kafka", "queue", "direct")):
        drop.add(number + offset, engine=engine)

    results = Laws(drop.settings).check()

    assert violations(results) == []
    assert [(result.law, result.held) for result in results] == [(law, True) for law in LAWS]
    assert all(result.checked > 0 for result in results)


def test_laws_name_every_planted_violation_and_nothing_else(drop: KeptDrop, number: int) -> None:
    drop.sql(CONSTRAINTS)
    expected = set()
    for campaign_id, plant in enumerate(PLANTS, number):
        drop.add(campaign_id, engine=plant.engine)
        plant.how(drop, campaign_id)
        named = plant.campaign(campaign_id)
        expected |= {
            (plant.name, law, kind, named, position, user)
            for law, kind, position, user in plant.expected
        }
    # Where no campaign is named, the kind says which plant it is of.
    names = {
        plant.campaign(at) or next(kind for _, kind, _, _ in plant.expected): plant.name
        for at, plant in enumerate(PLANTS, number)
    }

    results = Laws(drop.settings).check()

    found = [
        (
            names[one.campaign_id or one.kind],
            one.law,
            one.kind,
            one.campaign_id,
            one.position,
            one.user_id,
        )
        for one in violations(results)
    ]
    assert set(found) == expected
    assert len(found) == len(expected)
    assert sum(result.violations_count for result in results) == len(expected)
    assert all(not result.held for result in results)


def test_every_kind_of_violation_is_planted() -> None:
    planted = {kind for plant in PLANTS for _, kind, _, _ in plant.expected}
    assert planted == set(KINDS) - {"TWO_WAYS_TO_SIGN_IN"}
    assert len(PLANTS) >= 40
    assert all(KINDS[kind].law == law for plant in PLANTS for law, kind, _, _ in plant.expected)


def test_laws_name_two_ways_to_sign_in(drop: KeptDrop, number: int) -> None:
    drop.add(number)
    both = AuthSettings.model_construct(
        mode="gateway",
        secret=SecretStr("x" * 32),
        key_file=None,
        jwks_url=None,
        gateway_networks=["10.0.0.0/8"],
    )
    settings = drop.settings.model_copy(update={"auth": both})

    (found,) = violations(Laws(settings).check())

    assert (found.law, found.kind) == ("L8", "TWO_WAYS_TO_SIGN_IN")


def test_claims_younger_than_the_grace_are_under_way(drop: KeptDrop, number: int) -> None:
    drop.add(number)
    now = time.time()
    for position, user in ((13, "a"), (14, "b")):
        drop.hold(number, user, position)
    drop.append(encode(IssuanceRequested(number, 2, 13, ["a", "b"], [], now)))
    drop.journal(number, 13, ["a", "b"], at=now)
    drop.write_gate(number, "position_last", 14)

    assert violations(Laws(drop.settings).check()) == []


def test_rows_recorded_a_moment_ago_may_wait_for_their_bits(drop: KeptDrop, number: int) -> None:
    drop.add(number)
    drop.sql(
        "UPDATE issuances SET recorded_at = now() WHERE campaign_id = %s AND position = %s",
        *(number, LAST),
    )
    drop.settle(number, LAST, 0)

    assert violations(Laws(drop.settings).check()) == []


def test_claims_that_a_dead_letter_names_are_not_forgotten(drop: KeptDrop, number: int) -> None:
    drop.add(number)
    drop.append_claims(number, 2, 40, ["far"])
    drop.set_aside(number, 40, "far")

    assert violations(Laws(drop.settings).check()) == []


def test_a_violation_seen_once_only_is_not_reported(
    drop: KeptDrop, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop.add(number)
    drop.settle(number, 8, 0)
    # The recorder settles while the check waits for its second look.
    monkeypatch.setattr("firstcome.laws.laws.time.sleep", lambda _: drop.settle(number, 8, 1))

    assert violations(Laws(drop.settings).check()) == []


def test_laws_of_one_campaign_ignore_the_others(drop: KeptDrop, number: int) -> None:
    drop.add(number)
    drop.add(number + 1)
    drop.let_go(number + 1, user_of(8))

    assert violations(Laws(drop.settings).check([number])) == []
    (found,) = violations(Laws(drop.settings).check([number + 1]))
    assert (found.kind, found.user_id) == ("NOT_IN_GATE", user_of(8))


@pytest.mark.parametrize("epoch", ["3f2a-token", "1-{run_id}", "2-another-life"])
def test_laws_are_not_judged_while_the_gate_is_shut(
    drop: KeptDrop, number: int, epoch: str
) -> None:
    drop.add(number)
    drop.write_gate(number, "epoch", epoch.format(run_id=drop.gate.run_id))

    with pytest.raises(GateUnavailable, match="rebuild is under way or needed"):
        Laws(drop.settings).check()


def test_laws_are_not_judged_for_a_campaign_that_does_not_exist(drop: KeptDrop) -> None:
    with pytest.raises(CampaignNotFound, match="no campaign 404"):
        Laws(drop.settings).check([404])


def test_laws_are_not_judged_without_the_log(drop: KeptDrop, number: int) -> None:
    drop.add(number)
    kafka = drop.settings.kafka.model_copy(update={"topic_prefix": "no-such-topic"})

    with pytest.raises(LogUnavailable, match="cannot be read"):
        Laws(drop.settings.model_copy(update={"kafka": kafka})).check()


def test_listed_violations_are_bounded_and_all_are_counted(drop: KeptDrop, number: int) -> None:
    drop.add(number)
    for position in (1, 2, 3, 4):
        drop.settle(number, position, 0)
    laws = drop.settings.laws.model_copy(update={"violations_max": 2})

    results = Laws(drop.settings.model_copy(update={"laws": laws})).check()

    (leaks,) = [result for result in results if not result.held]
    assert (leaks.law, len(leaks.violations), leaks.violations_count) == ("L6", 2, 4)
