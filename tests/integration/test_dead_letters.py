"""What operators do with dead letters that have a row: every rule, on real engines."""

import threading
from collections.abc import Callable, Iterator

import pytest

from firstcome.campaigns import Campaigns
from firstcome.errors import DatabaseUnavailable, DeadLetterNotFound
from firstcome.issuance.dead_letters import Asked, DeadLetters
from firstcome.issuance.decision import Decision, Outcome
from firstcome.issuance.quarantine import Reason
from firstcome.model import CampaignId, Verdict
from firstcome.settings import Settings
from tests.integration.claimed import batch
from tests.integration.letters_stage import (
    ME,
    assert_laws_hold,
    at,
    claimed,
    ids,
    letters_of,
    mend,
    mirrored,
    outcomes,
    poisoned,
    recorded,
    refuse,
    seen,
)
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration

ISSUED, UNDER_REVIEW, CANCELLED = 1, 2, 3


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


def redriven(letters: DeadLetters, *numbers: int) -> list[str]:
    return outcomes(list(letters.redrive(numbers, ME)))


def discarded(letters: DeadLetters, *numbers: int) -> list[str]:
    return outcomes(list(letters.discard(numbers, ME)))


def test_redrive_issues_the_claim_once(drop: Recovery, letters: DeadLetters) -> None:
    number = poisoned(drop)
    assert drop.settled(number) == {1: ISSUED, 2: UNDER_REVIEW, 3: ISSUED}
    assert_laws_hold(drop, number)

    (first,) = letters.redrive(ids(drop), ME)

    assert (first.outcome, first.stands) == (Outcome.ISSUED, True)
    after = seen(drop, number)
    assert after.rows[2] == ("poison", "ISSUED")
    assert after.listed == [1, 2, 3]
    assert after.letters == [("REDRIVEN", "REJECTED")]
    assert after.audited == ["me dead_letter.redrive"]
    mirrored(drop)
    assert drop.settled(number) == {1: ISSUED, 2: ISSUED, 3: ISSUED}
    assert_laws_hold(drop, number)

    assert redriven(letters, *ids(drop)) == ["ALREADY_DECIDED"]
    assert discarded(letters, *ids(drop)) == ["DECIDED_OTHERWISE"]
    assert seen(drop, number) == after
    # The same key still finds the place.
    assert drop.admit(number, "poison", attempt=7) == [2 * 32 + ISSUED * 8 + Verdict.REPLAYED]


def test_discard_returns_the_unit_to_the_stock(drop: Recovery, letters: DeadLetters) -> None:
    number = poisoned(drop, limit=3)
    assert drop.admit(number, "carl") == [Verdict.SOLD_OUT]

    assert discarded(letters, *ids(drop)) == ["DISCARDED"]

    after = seen(drop, number)
    assert (after.rows[2], after.limit) == (("poison", "DISCARDED"), 4)
    assert (after.letters, after.listed) == ([("DISCARDED", "REJECTED")], [1, 3])
    assert after.audited == ["me dead_letter.discard"]
    mirrored(drop)
    assert drop.settled(number)[2] == CANCELLED
    assert_laws_hold(drop, number)
    assert recorded(drop, claimed(drop, number, "carl")).issued == 1
    assert drop.admit(number, "poison") == [Verdict.SOLD_OUT]

    assert discarded(letters, *ids(drop)) == ["ALREADY_DECIDED"]
    assert redriven(letters, *ids(drop)) == ["DECIDED_OTHERWISE"]
    assert seen(drop, number) == after._replace(
        rows=after.rows | {4: ("carl", "ISSUED")}, listed=[1, 3, 4]
    )
    assert_laws_hold(drop, number)


def test_user_of_a_discarded_claim_may_claim_again(drop: Recovery, letters: DeadLetters) -> None:
    number = poisoned(drop)
    discarded(letters, *ids(drop))
    mirrored(drop)
    again = claimed(drop, number, "poison", attempt=9)
    assert again.event.first_position == 4
    assert recorded(drop, again).issued == 1
    # The record of the discarded claim comes once more.
    late = batch(number, 1, ["ann", "poison", "bob"], attempts=[7, 7, 7])
    assert (recorded(drop, late).replayed, drop.rows(number)[2][1]) == (3, "DISCARDED")
    assert drop.rows(number)[4] == ("poison", "ISSUED")
    assert_laws_hold(drop, number)


def test_redrive_of_what_is_still_refused_changes_nothing(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = poisoned(drop)
    refuse(drop)
    before = seen(drop, number)
    (decision,) = letters.redrive(ids(drop), ME)
    assert (decision.outcome, decision.stands) == (Outcome.REJECTED, False)
    assert "poison" in decision.detail
    assert seen(drop, number) == before
    assert letters.show(ids(drop)[0]).attempts == 6
    assert_laws_hold(drop, number)
    mend(drop)
    assert redriven(letters, *ids(drop)) == ["ISSUED"]


def test_dry_run_says_what_would_be_and_changes_nothing(
    drop: Recovery, letters: DeadLetters
) -> None:
    number = poisoned(drop)
    before = seen(drop, number)
    for decide, would in ((letters.redrive, "ISSUED"), (letters.discard, "DISCARDED")):
        assert outcomes(list(decide(ids(drop), ME, dry_run=True))) == [would]
        assert seen(drop, number) == before
    assert letters.show(ids(drop)[0]).attempts == 5


def test_many_letters_are_chosen_by_campaign_and_reason_at_a_bounded_rate(
    drop: Recovery,
) -> None:
    pauses: list[float] = []
    letters = DeadLetters(
        drop.connect, lambda: pytest.fail("no gate is needed"), pause=pauses.append
    )
    mine, other = poisoned(drop), poisoned(drop)
    refuse(drop)
    recorded(drop, claimed(drop, mine, "poison-2", "poison-3"))
    mend(drop)
    drop.recorder().record([claimed(drop, mine, "x")._replace(origin=None)])
    chosen = letters.numbers(Asked(reason=Reason.REJECTED, campaign_id=mine))
    assert len(chosen) == 3
    assert letters.numbers(Asked(reason=Reason.BEYOND_LIMIT)) == []
    assert outcomes(list(letters.redrive(chosen, ME, rate=50))) == ["ISSUED"] * 3
    assert pauses == [0.02, 0.02]
    assert [each.campaign_id for each in letters.list()] == [other]
    assert len(letters.list(Asked(None))) == 4
    page = letters.list(Asked(None), rows=3)
    assert letters.list(Asked(None), after=page[-1].dead_letter_id)[0].campaign_id == mine


def test_letter_that_does_not_exist_is_said_to_be_missing(letters: DeadLetters) -> None:
    assert redriven(letters, 404) == discarded(letters, 404) == ["NOT_FOUND"]
    with pytest.raises(DeadLetterNotFound, match="no dead letter 404"):
        letters.show(404)


def both(*decides: Callable[[], list[Decision]]) -> list[Decision]:
    """Decide at the same moment; return both decisions."""
    made: list[Decision] = []
    gate = threading.Barrier(len(decides))

    def decide(one: Callable[[], list[Decision]]) -> None:
        gate.wait()
        made.extend(one())

    threads = [threading.Thread(target=decide, args=(one,)) for one in decides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return made


def test_two_redrives_at_once_issue_once(drop: Recovery, letters: DeadLetters) -> None:
    for _ in range(3):
        number = poisoned(drop)
        (last,) = ids(drop)[-1:]
        made = both(*[lambda last=last: list(letters.redrive([last], ME))] * 2)
        assert sorted(outcomes(made)) == ["ALREADY_DECIDED", "ISSUED"]
        assert seen(drop, number).listed == [1, 2, 3]


def test_redrive_against_discard_leaves_one_decision(drop: Recovery, letters: DeadLetters) -> None:
    for _ in range(3):
        number = poisoned(drop)
        (last,) = ids(drop)[-1:]
        made = both(
            lambda last=last: list(letters.redrive([last], ME)),
            lambda last=last: list(letters.discard([last], ME)),
        )
        (won,) = [decision for decision in made if decision.stands]
        (lost,) = [decision for decision in made if not decision.stands]
        assert lost.outcome is Outcome.DECIDED_OTHERWISE
        issued = won.outcome is Outcome.ISSUED
        after = seen(drop, number)
        assert after.rows[2] == ("poison", "ISSUED" if issued else "DISCARDED")
        assert (after.limit, after.listed) == ((1000, [1, 2, 3]) if issued else (1001, [1, 3]))
        mirrored(drop)
        assert_laws_hold(drop, number)


class Died(Exception):
    """Stands for a process that is gone."""


def die() -> None:
    raise Died


@pytest.mark.parametrize("verb", ["redrive", "discard"])
@pytest.mark.parametrize("point", ["before", "after"])
def test_decision_that_was_cut_off_is_done_or_not_and_may_be_repeated(
    drop: Recovery, letters: DeadLetters, verb: str, point: str
) -> None:
    number = poisoned(drop)
    before = seen(drop, number)
    decide = getattr(letters, verb)
    with at({f"{point}_{verb}": die}) as came_by, pytest.raises(Died):
        list(decide(ids(drop), ME))
    assert came_by == [f"{point}_{verb}"]
    done = {"redrive": "ISSUED", "discard": "DISCARDED"}[verb]
    if point == "before":
        assert seen(drop, number) == before
        assert outcomes(list(decide(ids(drop), ME))) == [done]
    else:
        assert seen(drop, number).rows[2] == ("poison", done)
        assert outcomes(list(decide(ids(drop), ME))) == ["ALREADY_DECIDED"]
    mirrored(drop)
    assert drop.settled(number)[2] == (ISSUED if verb == "redrive" else CANCELLED)
    assert_laws_hold(drop, number)


def test_decision_goes_on_when_another_transaction_was_in_the_way(
    drop: Recovery, letters: DeadLetters
) -> None:
    poisoned(drop)
    troubles = [DatabaseUnavailable("deadlock", certain=True)] * 2

    def trouble() -> None:
        if troubles:
            raise troubles.pop()

    with at({"before_redrive": trouble}):
        assert redriven(letters, *ids(drop)) == ["ISSUED"]


BETWEEN_STEPS = (
    *("after_shut", "after_wait", "after_drain", "after_survivors", "after_epoch"),
    *("before_switch", "after_switch", "after_unlink"),
)


def two_under_review(drop: Recovery) -> CampaignId:
    """Make a campaign of five coupons with two claims under review, at 2 and 3."""
    return poisoned(drop, "poison-2", "poison-3", limit=5)


def decide_both(drop: Recovery) -> list[str]:
    """Redrive the first letter and discard the second."""
    first, second = ids(drop)
    letters = letters_of(drop)
    return redriven(letters, first) + discarded(letters, second)


def check_after_a_rebuild(drop: Recovery, number: CampaignId) -> None:
    """See that rows, gate and stock agree, and that the unit given back can be claimed, once."""
    mirrored(drop)
    assert_laws_hold(drop, number)
    assert drop.campaign(number).epoch == 2
    after = seen(drop, number)
    assert (after.rows[2], after.rows[3]) == (("poison-2", "ISSUED"), ("poison-3", "DISCARDED"))
    assert (after.limit, after.listed) == (6, [1, 2, 4])
    assert drop.admit(number, "poison-2", "poison-3", "carl", "dora") == [
        2 * 32 + ISSUED * 8 + Verdict.DUPLICATE,
        5 * 32 + Verdict.ADMITTED,
        6 * 32 + Verdict.ADMITTED,
        Verdict.SOLD_OUT,
    ]


@pytest.mark.parametrize("point", BETWEEN_STEPS)
def test_decisions_between_the_steps_of_a_rebuild_leave_neither_leak_nor_double(
    drop: Recovery, point: str
) -> None:
    number = two_under_review(drop)
    made: list[str] = []
    with at({point: lambda: made.extend(decide_both(drop))}) as came_by:
        assert drop.rebuild().run_once([drop.campaign(number)]) == 1
    assert came_by == [point]
    assert made == ["ISSUED", "DISCARDED"]
    check_after_a_rebuild(drop, number)


def test_decisions_wait_for_a_rebuild_that_holds_the_campaign(drop: Recovery) -> None:
    number = two_under_review(drop)
    made: list[str] = []
    thread = threading.Thread(target=lambda: made.extend(decide_both(drop)))

    def begin() -> None:
        thread.start()
        while not drop.database.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        ).fetchone():
            assert thread.is_alive()

    with at({"before_epoch": begin}):
        assert drop.rebuild().run_once([drop.campaign(number)]) == 1
    thread.join(20)
    assert made == ["ISSUED", "DISCARDED"]
    check_after_a_rebuild(drop, number)


def test_decisions_while_a_rebuild_loads_an_older_snapshot_reach_the_gate(
    drop: Recovery,
) -> None:
    number = two_under_review(drop)
    made: list[str] = []

    def progress(said: str) -> None:
        if "rows loaded" in said and not made:
            made.extend(decide_both(drop))

    assert drop.rebuild(progress=progress).run_once([drop.campaign(number)]) == 1
    assert made == ["ISSUED", "DISCARDED"]
    check_after_a_rebuild(drop, number)


def test_discard_in_a_closed_campaign_lets_nobody_in(drop: Recovery, letters: DeadLetters) -> None:
    number = poisoned(drop, limit=3)
    Campaigns(drop.connect).close(number, ME)
    assert discarded(letters, *ids(drop)) == ["DISCARDED"]
    mirrored(drop)
    assert drop.admit(number, "carl") == [Verdict.CLOSED]
    assert_laws_hold(drop, number)
