"""What the pages say first: what needs somebody, the worst first."""

import pytest
from console_stage import TOLD, Stage, changed, report

from firstcome.console.needs import Kind, needs_of
from firstcome.console.overview import GateState
from firstcome.console.pages.words import LANGUAGES, words_of
from firstcome.console.told import Told, ToldProcess

pytestmark = pytest.mark.unit

PAGES = ("/drops", "/drops/1", "/health")
CALM = changed(report(), letters_waiting=0)
WELL = Told(drift={}, recorders_stopped=0)


def kinds(*look: object) -> list[Kind]:
    return [each.kind for each in needs_of(*look)]  # type: ignore[arg-type]


def test_drop_that_goes_well_needs_nobody() -> None:
    processes = [ToldProcess("api-1", "api", "ready", 0, True), ToldProcess("x", "relay")]
    assert kinds(CALM, changed(WELL, processes=processes)) == []


def test_worst_need_comes_first() -> None:
    assert kinds(report(), TOLD) == [Kind.STOPPED, Kind.DRIFT, Kind.LETTERS]
    [stopped, drift, letters] = needs_of(report(), TOLD)
    assert (stopped.is_bad, drift.campaign_id, letters.count) == (True, 1, 1)


def test_engines_that_are_away_are_told_once() -> None:
    assert kinds(None, WELL) == [Kind.DATABASE]
    blind = changed(report(GateState.UNREACHABLE), letters_waiting=0, lag_records=None)
    assert kinds(blind, WELL) == [Kind.REDIS, Kind.KAFKA]


@pytest.mark.parametrize("gate", [GateState.SHUT, GateState.STALE, GateState.ABSENT])
def test_gate_that_is_not_open_is_named_unless_it_is_new(gate: GateState) -> None:
    first = changed(report(gate), letters_waiting=0)
    [need] = needs_of(first, WELL)
    assert (need.kind, need.names, need.is_bad) == (Kind.GATE, "Spring", False)
    new = [changed(each, epoch=0) for each in first.campaigns]
    assert kinds(changed(first, campaigns=new), WELL) == []


def test_more_coupons_than_stock_is_the_worst_of_all() -> None:
    [drop] = CALM.campaigns
    broken = changed(CALM, campaigns=[changed(drop, issued=1000)], lag_seconds=30.0)
    assert kinds(broken, TOLD) == [Kind.LAW, Kind.STOPPED, Kind.DRIFT, Kind.LAG]


def test_processes_that_do_not_work_are_named() -> None:
    processes = [
        ToldProcess("api-1", "api", "ready", 0, False),
        ToldProcess("relay-1", "relay", "failed", 4, None),
        ToldProcess("recorder-2", "recorder", "stopping", 0, None),
    ]
    [need] = needs_of(CALM, changed(WELL, processes=processes))
    assert (need.kind, need.count, need.names) == (Kind.PROCESS, 2, "api-1, relay-1")


def test_what_nobody_could_be_asked_is_no_good_news() -> None:
    assert kinds(CALM, Told()) == [Kind.DRIFT_UNKNOWN, Kind.STOPPED_UNKNOWN]
    assert not any(need.is_bad for need in needs_of(CALM, Told()))


def test_lost_and_leaked_claims_do_not_make_each_other_good() -> None:
    told = changed(WELL, drift={"1": {"lost": 1, "leaked": -1}})
    assert [need.count for need in needs_of(CALM, told)] == [2]


def test_every_need_has_its_sentences() -> None:
    for language in LANGUAGES:
        words = words_of(language)
        for kind in Kind:
            assert words.get(f"needs.{kind}"), kind
            assert words.get(f"needs_means.{kind}"), kind


def test_first_page_says_what_needs_somebody_or_that_nothing_does(stage: Stage) -> None:
    stage.sign_in("viewer")
    stage.live.look(report())
    text = stage.get("/drops").text
    assert 'href="/dead-letters">Dead letters that wait: 1<' in text
    assert 'data-needs="stopped::1 drift:1:2 letters::1 "' in text
    stage.live.__init__(lambda: WELL, 2)  # type: ignore[misc]
    stage.live.look(CALM)
    assert "All is well" in stage.get("/drops").text
    assert "All is well" in stage.get("/health").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_show_drift_that_is_not_known_as_such(stage: Stage, language: str) -> None:
    stage.sign_in("viewer")
    stage.live.__init__(Told, 2)  # type: ignore[misc]
    stage.live.look(CALM)
    words, accept = words_of(language), {"Accept-Language": language}
    first, drop, health = (stage.get(path, **accept).text for path in PAGES)
    for kind in (Kind.DRIFT_UNKNOWN, Kind.STOPPED_UNKNOWN):
        assert words(f"needs.{kind}") in first
        assert words(f"needs.{kind}") in health
    assert words("needs.none") not in first + health
    assert f'<li class="unknown">{words("laws.drift_unknown")}<' in drop
    assert words("laws.drift_none") not in drop
    assert words("health.no_drift") not in health


def test_processes_that_are_just_being_asked_alarm_nobody(stage: Stage) -> None:
    stage.sign_in("viewer")
    asking = Told(asking=True)
    assert needs_of(CALM, asking) == []
    stage.live.__init__(lambda: asking, 2)  # type: ignore[misc]
    stage.live.look(CALM)
    words = words_of("en")
    first, drop, _ = (stage.get(path).text for path in PAGES)
    assert words("needs.asking") in first
    assert words("needs.none") not in first
    assert 'data-needs="asking "' in first
    assert 'data-laws="0 ."' in drop
    assert words("laws.drift_asking") in drop


def test_page_says_when_a_campaign_is_sold_out(stage: Stage) -> None:
    stage.sign_in("viewer")
    [drop] = CALM.campaigns
    for left, is_told in ((0, True), (1, False)):
        stage.live.look(changed(CALM, campaigns=[changed(drop, stock_left=left)]))
        for path in PAGES[:2]:
            text = stage.get(path).text
            assert ("sold out<" in text) is is_told, path
            assert (' SOLD_OUT"' in text) is is_told, path


def test_page_of_a_drop_says_which_laws_it_shows(stage: Stage) -> None:
    stage.sign_in("viewer")
    [drop] = CALM.campaigns
    broken = changed(CALM, campaigns=[changed(drop, issued=1000)])
    drifted = changed(WELL, drift={"1": {"lost": 2, "leaked": -1}})
    cases = ((CALM, WELL, "0 "), (CALM, Told(), "0 ?"), (broken, drifted, "1 lost:2 leaked:-1 "))
    for seen, told, key in cases:
        stage.live.__init__(lambda told=told: told, 2)  # type: ignore[misc]
        stage.live.look(seen)
        assert f'data-laws="{key}"' in stage.get("/drops/1").text
