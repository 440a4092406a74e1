"""What the pages show, in both languages, and what their forms do."""

import re
from pathlib import Path

import pytest
from console_stage import MORE_PAGES, PAGES, Shop, Stage, campaign, changed, report, staged

from firstcome.console.overview import GateState
from firstcome.console.pages.health import engines_of
from firstcome.console.pages.words import LANGUAGES, language_of, words_of
from firstcome.issuance.letter import State
from firstcome.model import CampaignState

pytestmark = pytest.mark.unit


@pytest.fixture
def drop(stage: Stage) -> Stage:
    """An admin before a drop that is under way."""
    stage.sign_in("admin")
    stage.live.look(report())
    return stage


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", [*PAGES, *MORE_PAGES, "/campaigns/new", "/operators", "/nowhere"])
def test_page_has_its_language_one_heading_and_nothing_inline(
    drop: Stage, path: str, language: str
) -> None:
    answer = drop.get(path, **{"Accept-Language": language})
    assert answer.status_code == (404 if path == "/nowhere" else 200)
    text = answer.text
    assert f'<html lang="{language}">' in text
    assert text.count("<h1") == 1
    # The policy forbids both; they would be dead.
    assert not re.search(r"<script(?! src=)|<style| style=| on[a-z]+=", text)
    assert "<b>1</b>" not in text


@pytest.mark.parametrize("action", ["pause", "close", "restock", "schedule", "archive"])
def test_every_action_is_explained_before_it_is_done(drop: Stage, action: str) -> None:
    if action == "archive":
        drop.shop.campaigns = [campaign(1, CampaignState.CLOSED)]
    answer = drop.get(f"/campaigns/1/{action}")
    assert answer.status_code == 200
    assert words_of("en")(f"action_means.{action}") in answer.text.replace("&#39;", "'")
    assert drop.shop.deeds == []


def test_action_that_the_state_forbids_is_not_offered(drop: Stage) -> None:
    drop.shop.campaigns = [campaign(1, CampaignState.CLOSED)]
    text = drop.get("/campaigns/1/pause").text
    assert "not possible" in text
    assert '<form method="post" action="/campaigns' not in text


def test_viewer_is_offered_nothing_that_he_may_not_do(stage: Stage) -> None:
    stage.sign_in("viewer")
    stage.live.look(report())
    for path in (*PAGES, *MORE_PAGES):
        text = stage.get(path).text
        assert "/campaigns/new" not in text, path
        assert "/campaigns/1/pause" not in text
        assert "/dead-letters/check" not in text
        assert "winners.csv" not in text


def test_operator_makes_a_campaign_in_two_steps_and_once(drop: Stage) -> None:
    form = {"name": "Autumn", "stock": "5,000", "opens_at": "2026-12-01T10:00", "zone": "+09:00"}
    shown = drop.post("/campaigns/new", **form, closes_at="", engine="kafka")
    assert shown.status_code == 200
    assert "2026-12-01 01:00:00 UTC" in shown.text
    assert drop.shop.deeds == []
    done = {"step": "do", "confirmation": "abc", "closes_at": "", "engine": "kafka"}
    made = drop.post("/campaigns/new", **form, **done)
    assert made.headers["location"] == "/drops/2?done=create"
    again = drop.post("/campaigns/new", **form, **done)
    assert again.headers["location"] == "/campaigns"
    [(_, wanted)] = drop.shop.deeds
    assert isinstance(wanted, dict)
    assert (wanted["name"], wanted["stock"], wanted["actor"]) == ("Autumn", 5000, "admin")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("stock", "0", "whole number"),
        ("stock", "many", "whole number"),
        ("name", "", "1 to 200"),
        ("engine", "steam", "engines"),
        ("opens_at", "tomorrow", "no date"),
        ("opens_at", "0001-01-01T00:00", "no date"),
        ("opens_at", "3000-01-01T00:00", "no date"),
        ("opens_at", "2026-12-01T10:00+05:00", "no date"),
        ("zone", "+99:00", "no date"),
        ("closes_at", "2026-12-01T09:00", "before it closes"),
    ],
)
def test_wrong_field_is_named_and_what_was_typed_stays(
    drop: Stage, field: str, value: str, said: str
) -> None:
    form = {"name": "Typed", "stock": "5", "opens_at": "2026-12-01T10:00", "zone": "+00:00"}
    answer = drop.post("/campaigns/new", **(form | {field: value, "step": "do"}))
    assert answer.status_code == 422
    assert said in answer.text
    assert 'aria-invalid="true"' in answer.text or field == "engine"
    assert field == "name" or 'value="Typed"' in answer.text
    assert drop.shop.deeds == []


def test_restock_is_shown_first_and_added_once(drop: Stage) -> None:
    assert "1,250" in drop.post("/campaigns/1/restock", coupons="250").text
    for _ in range(2):
        drop.post("/campaigns/1/restock", coupons="250", step="do", confirmation="x")
    assert drop.shop.deeds == [("restock", 1, 250, "admin")]


def test_pause_without_a_confirmation_does_nothing(drop: Stage) -> None:
    drop.post("/campaigns/1/pause", step="do")
    assert drop.shop.deeds == []
    drop.post("/campaigns/1/pause", step="do", confirmation="y")
    assert drop.shop.deeds == [("pause", 1, "admin")]


def test_click_counts_again_when_nothing_was_done_by_it(drop: Stage) -> None:
    drop.shop.fails_once = True
    again = {"step": "do", "confirmation": "z", "coupons": "5"}
    assert drop.post("/campaigns/1/restock", **again).status_code == 503
    assert drop.post("/campaigns/1/restock", **again).status_code == 303
    assert drop.shop.deeds == [("restock", 1, 5, "admin")]


def test_archive_says_that_nothing_was_done_while_the_gate_is_away(drop: Stage) -> None:
    drop.shop.campaigns = [campaign(1, CampaignState.CLOSED)]
    answer = drop.post("/campaigns/1/archive", step="do", confirmation="z")
    assert answer.status_code == 503
    assert words_of("en")("problem_means.TEMPORARILY_UNAVAILABLE") in answer.text


def test_campaigns_come_a_page_at_a_time(drop: Stage) -> None:
    drop.shop.campaigns = [campaign(number) for number in range(1, 251)]
    first = drop.get("/campaigns").text
    assert 'href="/drops/250"' in first
    assert 'href="/drops/150"' not in first
    assert 'href="/campaigns?before=151"' in first
    last = drop.get("/campaigns?before=51").text
    assert 'href="/drops/50"' in last
    assert "?before=" not in last
    assert 'href="/reports?before=151"' in drop.get("/reports").text


def test_drops_show_open_ones_first_and_not_hundreds(drop: Stage) -> None:
    first = report()
    [one] = first.campaigns
    closed = [
        changed(one, campaign_id=number, state=CampaignState.CLOSED) for number in range(2, 100)
    ]
    drop.live.look(changed(first, campaigns=[one, *closed]))
    text = drop.get("/drops").text
    assert text.count('class="card"') == 60
    assert text.index('href="/drops/1"') < text.index('href="/drops/99"')
    assert "39 more campaigns" in text
    assert 'data-count="99"' in text


def test_drop_leads_to_those_who_got_coupons_or_says_how_to_begin(
    drop: Stage, tmp_path: Path
) -> None:
    assert 'href="/person?user=ann"' in drop.get("/drops/1").text
    drop.shop.has_holders = False
    text = drop.get("/drops/1").text
    assert "Nobody has a coupon yet" in text
    assert "firstcome drop" not in text  # not a local stack
    with staged(status_file=tmp_path / "status.json") as local:
        local.sign_in("operator")
        local.shop.has_holders = False
        assert "firstcome drop --campaign 1 --users 2000" in local.get("/drops/1").text


def test_letters_are_tried_before_they_are_decided(drop: Stage) -> None:
    text = drop.post("/dead-letters/check", letter="7", action="redrive").text
    assert drop.shop.deeds == [("redrive", 7, "admin", True)]
    assert 'action="/dead-letters/decide"' in text
    drop.post("/dead-letters/decide", letter="7", action="redrive")
    assert drop.shop.deeds[-1] == ("redrive", 7, "admin", False)


def test_decision_that_takes_too_long_says_how_far_it_came(
    drop: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstcome.console.pages.letters.DECIDE_SECONDS", -1.0)
    drop.shop.letters = [drop.shop.letters[0], drop.shop.letters[0]._replace(dead_letter_id=8)]
    text = drop.post("/dead-letters/decide", which="all", action="redrive").text
    assert "It was stopped after 1 of 2" in text


def test_all_letters_of_a_filter_are_decided_at_once(drop: Stage) -> None:
    first = drop.shop.letters[0]
    drop.shop.letters = [first, first._replace(dead_letter_id=8)]
    text = drop.post("/dead-letters/check", which="all", action="redrive").text
    assert 'name="letter" value="8"' in text


def test_decision_that_was_interrupted_says_what_stands(drop: Stage) -> None:
    drop.shop.letters = [drop.shop.letters[0], drop.shop.letters[0]._replace(dead_letter_id=8)]
    text = drop.post("/dead-letters/decide", which="all", action="discard").text
    assert "It stopped after 1 of 2" in text


@pytest.mark.parametrize("form", [{"action": "burn"}, {"action": "redrive", "letter": "1; DROP"}])
def test_nonsense_about_letters_is_refused(drop: Stage, form: dict[str, str]) -> None:
    assert drop.post("/dead-letters/check", **form).status_code == 400
    assert drop.shop.deeds == []


@pytest.mark.parametrize("query", ["campaign=abc", "campaign=0", "state=GONE", "reason=none"])
def test_impossible_filter_is_told_where_the_list_would_be(drop: Stage, query: str) -> None:
    answer = drop.get(f"/dead-letters?{query}")
    assert answer.status_code == 400
    place = answer.text.partition('<div id="letters">')[2]
    assert words_of("en")("wrong.filter") in place
    assert 'name="campaign"' in answer.text


def test_page_that_failed_is_asked_for_again_with_its_query(drop: Stage) -> None:
    drop.shop.away = True
    again = drop.get("/campaigns?before=51&x=%22").text
    assert 'href="/campaigns?before=51&amp;x=%22">Try again<' in again
    assert 'href="/drops">To the drops<' in drop.get("/nowhere?x=1").text


def test_form_that_failed_leads_to_its_list(drop: Stage) -> None:
    drop.shop.away = True
    form = {"step": "do", "confirmation": "q"}
    assert 'href="/campaigns">To the list<' in drop.post("/campaigns/1/pause?x=1", **form).text
    assert ">Try again<" not in drop.post("/campaigns/1/pause", **form).text


def test_person_page_has_a_sentence_for_every_standing(drop: Stage) -> None:
    text = drop.get("/person?user=ann").text
    for finding in ("ISSUED", "UNDER_REVIEW", "UNDER_WAY", "GIVEN_UP", "SET_ASIDE", "ABSENT"):
        assert words_of("en")(f"finding.{finding}") in text
    assert "no user id" in drop.get("/person?user=a%20b").text


@pytest.mark.parametrize("gate", [GateState.SHUT, GateState.STALE, GateState.UNREACHABLE])
def test_drop_says_what_a_gate_that_admits_nobody_means(drop: Stage, gate: GateState) -> None:
    drop.live.look(report(gate))
    for path in ("/drops/1", "/health"):
        assert words_of("en")(f"gate_means.{gate}") in drop.get(path).text


def test_pages_say_what_it_means_that_the_database_is_away(drop: Stage) -> None:
    drop.live.look(None)
    assert "safe in the log" in drop.get("/drops").text
    assert engines_of(drop.live.latest) == {
        "postgres": "away",
        "redis": "unknown",
        "kafka": "unknown",
    }
    drop.shop.away = True
    answer = drop.get("/campaigns")
    assert answer.status_code == 503
    assert "Coupons already promised are safe" in answer.text
    assert answer.headers["retry-after"]


def test_engines_are_told_by_what_the_last_look_saw(drop: Stage) -> None:
    drop.live.look(changed(report(GateState.UNREACHABLE), lag_records=None))
    found = engines_of(drop.live.latest)
    assert found == {"postgres": "up", "redis": "away", "kafka": "away"}
    assert engines_of(None)["postgres"] == "unknown"


def test_pages_without_anything_say_so(stage: Stage) -> None:
    stage.sign_in()
    assert "fills itself" in stage.get("/drops").text
    stage.shop.campaigns, stage.shop.letters = [], []
    assert "no campaign yet" in stage.get("/campaigns").text
    assert "No dead letter waits" in stage.get("/dead-letters").text


def test_decided_letters_are_offered_no_decision(drop: Stage) -> None:
    drop.shop.letters = [drop.shop.letters[0]._replace(state=State.REDRIVEN)]
    assert "/dead-letters/check" not in drop.get("/dead-letters/7").text


def test_browser_that_asks_for_nothing_hears_english() -> None:
    assert language_of("", "") == "en"
    assert language_of("", "fr, ko;q=0.5, en;q=0.4") == "ko"
    assert language_of("", "en-GB,en;q=0.9,ko;q=0.8") == "en"
    assert language_of("firstcome_language=ko", "en") == "ko"
    assert language_of("firstcome_language=xx; {bad", "ko;q=x, en") == "en"


def test_chosen_language_is_remembered(drop: Stage) -> None:
    answer = drop.get("/language/ko?next=/health")
    assert answer.headers["location"] == "/health"
    assert '<html lang="ko">' in drop.get("/health").text


def test_both_languages_have_the_same_messages_with_the_same_fields() -> None:
    english, korean = words_of("en"), words_of("ko")
    assert english.keys() == korean.keys()
    for key in english.keys():  # noqa: SIM118 - not a dict
        fields = [set(re.findall(r"{\w+}", str(words.get(key)))) for words in (english, korean)]
        assert fields[0] == fields[1], key


def test_shop_of_this_test_offers_what_pages_use() -> None:
    assert Shop().list() == [campaign()]
