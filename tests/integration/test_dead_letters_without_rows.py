"""Dead letters of claims that could have no row: what a redrive tries again, and what it leaves."""

from collections.abc import Iterator

import pytest

from firstcome.errors import GateUnavailable
from firstcome.eventlog.consumer import Origin
from firstcome.eventlog.events import encode
from firstcome.gate import keys
from firstcome.issuance import quarantine
from firstcome.issuance.dead_letters import DeadLetters
from firstcome.issuance.quarantine import DeadLetter, Reason
from firstcome.model import CampaignId, Claim, Position, UserId, Verdict
from firstcome.settings import Settings
from tests.integration.claimed import batch
from tests.integration.letters_stage import (
    ME,
    REQUESTED_AT,
    assert_laws_hold,
    claimed,
    ids,
    letters_of,
    mirrored,
    outcomes,
    recorded,
    seen,
)
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration

ORIGIN = Origin("requests", 0, 7)


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    """A drop of this test alone."""
    recovery = Recovery(scaled(settings))
    yield recovery
    recovery.close()


@pytest.fixture
def letters(drop: Recovery) -> DeadLetters:
    """The operators' commands."""
    return letters_of(drop)


def redriven(drop: Recovery, letters: DeadLetters) -> list[str]:
    return outcomes(list(letters.redrive(ids(drop), ME)))


def discarded(drop: Recovery, letters: DeadLetters) -> list[str]:
    return outcomes(list(letters.discard(ids(drop), ME)))


def beyond(drop: Recovery) -> CampaignId:
    """Let a gate admit one more than the database allows: ann, then bob beyond the limit."""
    number = drop.open_campaign(limit=1)
    drop.session.call("HSET", keys.gate(number), "position_limit", 2)
    done = recorded(drop, claimed(drop, number, "ann", "bob", attempt=5))
    assert (done.issued, done.dead_lettered) == (1, 1)
    return number


def restock(drop: Recovery, number: CampaignId) -> None:
    """Add one coupon."""
    drop.database.execute(
        "UPDATE campaigns SET stock = stock + 1, position_limit = position_limit + 1,"
        " version = version + 1 WHERE campaign_id = %s",
        (number,),
    )


def set_aside(
    drop: Recovery, claim: Claim | None, reason: Reason, payload: bytes | None = None
) -> None:
    """Write a letter as an earlier version of the recorder would have."""
    with drop.connect() as session:
        quarantine.write(session, DeadLetter(claim, ORIGIN, reason, "planted", payload))


def claim_of(number: CampaignId, position: int, user: str, epoch: int = 1) -> Claim:
    return Claim(number, epoch, Position(position), UserId(user), 0, REQUESTED_AT)


def test_redrive_of_a_claim_beyond_the_limit_waits_for_stock(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = beyond(drop)
    before = seen(drop, number)
    assert redriven(drop, letters) == ["BEYOND_LIMIT"]
    assert seen(drop, number) == before
    restock(drop, number)

    assert redriven(drop, letters) == ["ISSUED"]

    after = seen(drop, number)
    assert after.rows == {1: ("ann", "ISSUED"), 2: ("bob", "ISSUED")}
    assert (after.listed, after.letters) == ([1, 2], [("REDRIVEN", "BEYOND_LIMIT")])
    found = drop.database.execute("SELECT extract(epoch FROM requested_at), attempt FROM issuances")
    assert set(found.fetchall()) == {(REQUESTED_AT, 5)}
    mirrored(drop)
    assert drop.settled(number) == {1: 1, 2: 1}
    assert_laws_hold(drop, number)
    assert redriven(drop, letters) == ["ALREADY_DECIDED"]
    assert drop.admit(number, "bob", attempt=5) == [2 * 32 + 8 + Verdict.REPLAYED]


def test_discard_of_a_claim_that_the_gate_keeps_a_place_for_gives_it_up(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = beyond(drop)
    restock(drop, number)
    assert discarded(drop, letters) == ["DISCARDED"]
    after = seen(drop, number)
    assert (after.rows[2], after.limit) == (("bob", "DISCARDED"), 3)
    mirrored(drop)
    assert recorded(drop, claimed(drop, number, "carl")).issued == 1
    assert drop.admit(number, "bob") == [Verdict.SOLD_OUT]
    assert_laws_hold(drop, number)


def test_discard_of_what_never_took_a_unit_only_closes_the_letter(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = beyond(drop)
    assert discarded(drop, letters) == ["CLOSED"]
    after = seen(drop, number)
    assert (after.limit, after.letters) == (1, [("DISCARDED", "BEYOND_LIMIT")])
    assert after.audited == ["me dead_letter.discard"]


def test_redrive_takes_nobodys_place_for_a_record_that_no_gate_has_made(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = drop.open_campaign(limit=1)
    assert recorded(drop, claimed(drop, number, "ann")).issued == 1
    assert recorded(drop, batch(number, 2, ["eve"], offset=3)).dead_lettered == 1
    restock(drop, number)
    mirrored(drop)
    assert redriven(drop, letters) == ["NOT_HELD"]
    assert recorded(drop, claimed(drop, number, "bob")).issued == 1
    assert redriven(drop, letters) == ["POSITION_TAKEN"]
    assert discarded(drop, letters) == ["CLOSED"]
    assert_laws_hold(drop, number)


def test_redrive_needs_an_open_gate_to_know_whose_place_it_is(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = beyond(drop)
    restock(drop, number)
    before = seen(drop, number)
    drop.session.call("HSET", keys.gate(number), "epoch", "shut:1:token")
    with pytest.raises(GateUnavailable, match="nothing was changed"):
        redriven(drop, letters)
    assert seen(drop, number) == before


def test_redrive_gives_the_place_up_when_its_user_is_in_by_now(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = beyond(drop)
    restock(drop, number)
    restock(drop, number)
    drop.database.execute(
        "INSERT INTO issuances (campaign_id, position, epoch, status, user_id)"
        " VALUES (%s, 3, 1, 'ISSUED', 'bob')",
        (number,),
    )
    assert redriven(drop, letters) == ["DUPLICATE"]
    after = seen(drop, number)
    assert (after.rows[2], after.rows[3]) == (("bob", "DUPLICATE"), ("bob", "ISSUED"))
    assert (after.limit, after.letters) == (4, [("REDRIVEN", "BEYOND_LIMIT")])


def test_redrive_of_what_became_known_records_it(drop: Recovery, letters: DeadLetters) -> None:
    number = drop.open_campaign()
    known = claimed(drop, number, "ann", "bob")
    set_aside(drop, None, Reason.UNDECODABLE, encode(known.event))
    assert redriven(drop, letters) == ["ISSUED"]
    assert seen(drop, number).rows == {1: ("ann", "ISSUED"), 2: ("bob", "ISSUED")}
    mirrored(drop)
    assert drop.settled(number) == {1: 1, 2: 1}
    assert_laws_hold(drop, number)
    assert redriven(drop, letters) == ["ALREADY_DECIDED"]


def test_redrive_of_what_is_still_impossible_says_why(drop: Recovery, letters: DeadLetters) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann")
    for index, (claim, reason, payload) in enumerate(
        [
            (None, Reason.UNDECODABLE, b"\x00{"),
            (claim_of(CampaignId(number + 999), 1, "a"), Reason.UNKNOWN_CAMPAIGN, None),
            (claim_of(number, 1, "a", epoch=9), Reason.UNKNOWN_EPOCH, None),
        ]
    ):
        origin = ORIGIN._replace(offset=index)
        with drop.connect() as session:
            quarantine.write(session, DeadLetter(claim, origin, reason, "planted", payload))
    before = seen(drop, number)
    assert redriven(drop, letters) == ["UNDECODABLE", "UNKNOWN_CAMPAIGN", "UNKNOWN_EPOCH"]
    assert seen(drop, number) == before
    assert [letter.attempts for letter in letters.list()] == [2, 2, 2]
    assert discarded(drop, letters) == ["CLOSED"] * 3


def test_redrive_of_an_impossible_user_stays_impossible(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = drop.open_campaign()
    assert recorded(drop, batch(number, 1, ["not a user\0"], offset=1)).dead_lettered == 1
    assert redriven(drop, letters) in (["NOT_HELD"], ["IMPOSSIBLE_USER"])
    assert seen(drop, number).letters == [("QUARANTINED", "IMPOSSIBLE_USER")]
    assert discarded(drop, letters) == ["CLOSED"]
    assert_laws_hold(drop, number)


def test_redrive_of_a_claim_from_before_a_rebuild_is_fenced_or_finds_it_cancelled(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = beyond(drop)
    restock(drop, number)
    drop.session.call("DEL", keys.journal(number, 1))
    assert drop.rebuild().run_once([drop.campaign(number)]) == 1
    assert redriven(drop, letters) == ["FENCED"]
    assert recorded(drop, claimed(drop, number, "carl")).issued == 1
    assert discarded(drop, letters) == ["CLOSED"]
    assert_laws_hold(drop, number)
