"""What one pass finds, what two passes confirm, and how it is said."""

import pytest

from firstcome.cli.verify import document, text
from firstcome.laws import findings as module
from firstcome.laws.findings import Findings
from firstcome.laws.kinds import KINDS, LAWS

pytestmark = pytest.mark.unit


def found(*positions: int, kind: str = "HOLE", campaign_id: int = 1) -> Findings:
    """Return a pass that found holes at these positions."""
    findings = Findings()
    for position in positions:
        findings.broken(kind, campaign_id, position)
    return findings


def positions(findings: Findings) -> list[int | None]:
    """Return the positions of everything reported."""
    return [one.position for result in findings.results(100) for one in result.violations]


def test_every_kind_names_a_law_and_a_meaning() -> None:
    assert {kind.law for kind in KINDS.values()} == set(LAWS)
    assert all(kind.meaning.endswith(".") for kind in KINDS.values())


def test_second_pass_confirms_what_both_saw() -> None:
    assert positions(found(1, 2, 3).confirmed_by(found(2, 3, 4))) == [2, 3]


def test_second_pass_confirms_nothing_of_another_campaign_or_kind() -> None:
    first = found(1)
    assert positions(first.confirmed_by(found(1, campaign_id=2))) == []
    assert positions(first.confirmed_by(found(1, kind="NOT_LISTED"))) == []


def test_same_violation_counts_once() -> None:
    (result,) = [result for result in found(7, 7).results(10) if not result.held]
    assert (result.law, result.violations_count) == ("L5", 1)


def test_violations_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", 3)
    both = found(*range(1, 11)).confirmed_by(found(*range(1, 9)))
    (result,) = [result for result in both.results(2) if not result.held]
    assert (len(result.violations), result.violations_count) == (2, 8)


def test_verify_says_in_words_what_is_broken_and_where() -> None:
    findings = Findings()
    findings.broken("FORGOTTEN", 7, 12, "ann", "Requested 90 s ago.")
    said = text(findings.results(10))
    assert "L3 BROKEN" in said
    assert "FORGOTTEN campaign 7, position 12, user ann: A claim was admitted" in said
    assert "Requested 90 s ago." in said
    assert said.endswith("broken: L3\n")


def test_verify_says_that_all_laws_hold() -> None:
    assert text(Findings().results(10)).endswith("all 8 laws hold\n")


def test_verify_prints_names_beside_values_as_json() -> None:
    printed = document(found(3).results(10))
    broken = [law for law in printed["laws"] if not law["held"]]
    assert printed["held"] is False
    assert [(law["law"], law["violations_count"]) for law in broken] == [("L5", 1)]
    assert broken[0]["violations"][0]["position"] == 3


def test_long_lists_are_cut_in_words_and_the_rest_is_counted() -> None:
    said = text(found(*range(1, 31)).results(100))
    assert "and 10 more" in said
