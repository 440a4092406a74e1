"""The incident report says what the numbers say, in both languages, and draws them."""

from xml.etree import ElementTree

import pytest

from firstcome.bench.origin import Origin
from firstcome.bench.truth import Offer
from firstcome.drill import incident_en, incident_ko
from firstcome.drill.chart import Panel, Series, chart, scale
from firstcome.drill.consumer_pause import Moments, incident
from firstcome.drill.incident_report import Facts, drawing
from firstcome.drill.probes import Probe
from firstcome.drill.rehearsal import Rehearsed
from firstcome.drill.timeline import Timeline
from tests.unit.seen import STARTED_AT, UNAVAILABLE, rehearsed, steady

pytestmark = pytest.mark.unit

PAUSED, RESUMED = 10.0, 20.0
MOMENTS = Moments(PAUSED, RESUMED, "recorder-1: stopped")
# 10 claims a second: those that are accepted during the pause have a row half a second after it.
WAITS = {position: RESUMED + 0.5 - (position - 1) / 10 - 0.01 for position in range(101, 201)}


def seen(**changes: object) -> Rehearsed:
    """Return a pause from which everything recovered."""
    at = STARTED_AT + 12.0
    probe = Probe(at, at + 0.01, 202, "", retry_after=False, issued_at=at + 9.0)
    found = {"probes": [probe], "lag": [(STARTED_AT + 15, 48)], **changes}
    return rehearsed(steady(0, 30), WAITS, seconds=30, **found)  # type: ignore[arg-type]


def facts(found: Rehearsed) -> Facts:
    """Judge it."""
    return Facts.of(incident(found, MOMENTS, 1), Origin("abc1234", {"cores": "2"}))


def test_timeline_counts_each_second_by_itself() -> None:
    timeline = Timeline.of(seen())
    assert [second.accepted for second in timeline.seconds[:30]] == [10] * 30
    assert [timeline.seconds[at].recorded for at in (5, 9, 15, 20, 25)] == [10, 10, 0, 110, 10]
    assert [timeline.seconds[at].lag_claims for at in (9, 10, 15, 19, 20)] == [0, 10, 60, 100, 0]
    assert timeline.seconds[15].lag_records == 48
    assert timeline.seconds[12].status_wait_seconds == pytest.approx(8.99)
    assert timeline.seconds[12].http_p95_ms == pytest.approx(10)


def test_recovery_is_the_last_row_of_whoever_was_accepted_meanwhile() -> None:
    found = facts(seen()).incident
    assert (found.pause_seconds, found.recovery_seconds) == (10.0, pytest.approx(0.5))
    assert (found.peak_lag_claims, found.calm_lag_claims, found.peak_lag_records) == (100, 0, 48)
    assert found.seen_by_users == pytest.approx(21.0)
    assert (found.during.asked, found.during.accepted, found.during.recorded) == (100, 100, 0)


def test_report_says_that_nothing_happened_only_when_nothing_did() -> None:
    english, korean = (words.page(facts(seen())) for words in (incident_en, incident_ko))
    for sentence in (
        "No claim was refused or failed: 300 of",
        "Nothing was lost",
        "stayed in the same range",
    ):
        assert sentence in english
    for sentence in ("실패한 신청이 없습니다: 300건", "유실이 없습니다", "이전과 같은 수준"):
        assert sentence in korean
    assert "recorder 재개 후 0.5초 안에 모두" in korean


def test_report_says_who_failed_what_was_lost_and_what_was_slow() -> None:
    heard = [
        (sent, done + (0.5 if 10 <= sent < 20 else 0), code) for sent, done, code in steady(0, 30)
    ]
    found = rehearsed(
        [*heard, (12.05, 12.1, UNAVAILABLE)], seconds=30, violations=["L3: u1 was forgotten"]
    )
    english, korean = (words.page(facts(found)) for words in (incident_en, incident_ko))
    for sentence in (
        "Not every claim was accepted",
        "L3: u1 was forgotten",
        "took longer: p95 510",
    ):
        assert sentence in english
    for sentence in (
        "모든 신청이 접수되지는 않았습니다",
        "법칙이 깨졌습니다",
        "응답이 느려졌습니다",
    ):
        assert sentence in korean
    assert "No claim was refused" not in english
    assert ", and every promise was kept" not in english


def test_report_says_when_a_promise_never_became_a_row() -> None:
    complete = seen()
    (offer,) = complete.offers
    rows = [row for row in offer.rows if row.position != 150]
    lost = seen(offers=[Offer(1, 300, rows)], violations=["u150 was told 150: lost"])
    english = incident_en.page(facts(lost))
    assert "never became a row" in english
    assert "recovered | **never**" in english


def test_chart_is_a_document_with_a_line_for_each_series() -> None:
    found = facts(seen()).incident
    for words in (incident_en, incident_ko):
        root = ElementTree.fromstring(drawing(found, words.CHART_NAMES))  # noqa: S314 - ours
        lines = [each for each in root.iter() if "series" in each.get("class", "")]
        assert len(lines) == 6
        assert all(line.get("d", "").startswith("M") for line in lines)


def test_chart_writes_down_what_is_above_its_ceiling() -> None:
    panel = Panel("rates", [Series("recorded", [10.0, 3000.0, None, 10.0])], 100.0)
    drawn = chart([panel], (1, 2), "pause", "seconds")
    assert "▲ 3,000" in drawn
    assert "▲" not in chart([panel._replace(ceiling=None)], (1, 2), "pause", "seconds")


@pytest.mark.parametrize(
    ("highest", "top", "step"), [(0, 0.001, 0.001), (7, 8, 2), (1250, 1500, 500), (60, 60, 20)]
)
def test_scale_has_round_steps(highest: float, top: float, step: float) -> None:
    assert scale(highest) == (pytest.approx(top), pytest.approx(step))
