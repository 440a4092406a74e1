"""Pages when something is wrong or nothing is there: told in place, and usable by everybody."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from playwright.sync_api import Page, expect

from conftest import Desk
from running import RunningStack, eventually

pytestmark = pytest.mark.system

LANGUAGES = ("en-US", "ko-KR")
EMPTY = {
    "campaigns": "/campaigns?before=1",
    "reports": "/reports?before=1",
    "letters": "/dead-letters?campaign={campaign}",
    "drop": "/drops/{campaign}",
}
PROBLEMS = {
    "/nowhere": "NOT_FOUND",
    "/campaigns/9000000000/pause": "CAMPAIGN_NOT_FOUND",
    "/dead-letters/9000000000": "DEAD_LETTER_NOT_FOUND",
    "/dead-letters?after=x": "INVALID_REQUEST",
}


@contextmanager
def stopped(stack: RunningStack, role: str) -> Iterator[None]:
    """Let a process stand still: it is there, and answers nobody who comes now."""
    [pid] = [each["pid"] for each in stack.processes() if each["role"] == role]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def filter_by(page: Page, campaign: object) -> None:
    """Type a campaign into the filter, and press it."""
    page.locator("#campaign").fill(str(campaign))
    page.locator("form.filter button").click()


def test_filter_that_is_impossible_is_told_and_can_be_mended(
    desk: Desk, stack: RunningStack
) -> None:
    campaign, page = stack.create(1, name="Without letters"), desk.open("/dead-letters")
    filter_by(page, "abc")
    expect(page.locator("#letters [role=alert]")).to_contain_text("There is no such filter")
    assert desk.faults() == []
    filter_by(page, campaign)
    expect(page.locator("#letters")).to_contain_text("No dead letter is like that")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_list_stays_while_its_filter_is_not_answered(desk: Desk, stack: RunningStack) -> None:
    campaign, page = stack.create(1, name="Not asked in time"), desk.open("/dead-letters?reason=")
    before = page.locator("#letters").inner_text()
    with stopped(stack, "postgres"):
        filter_by(page, campaign)
        expect(page.locator("#trouble")).to_contain_text("An engine gives no answer")
        assert page.locator("#letters").inner_text() == before
        assert desk.faults() == []
    # Chromium tells every 5xx; nothing else may have been said.
    assert [line for line in desk.said if "503" not in line] == []
    desk.said.clear()
    filter_by(page, campaign)
    expect(page.locator("#letters")).to_contain_text("No dead letter is like that")
    expect(page.locator("#trouble")).to_be_hidden()


def test_open_page_says_at_once_that_a_law_is_broken(desk: Desk, stack: RunningStack) -> None:
    campaign, page = stack.create(2, name="Too many"), desk.page
    assert stack.claim(campaign, "ann").status == 202
    desk.open(f"/drops/{campaign}")
    law = page.locator("[data-laws] li").first
    expect(law).to_have_text(re.compile("^1 of at most 2 coupons"))
    assert stack.claim(campaign, "bob").status == 202
    expect(law).to_have_text(re.compile("^2 of at most 2 coupons"))
    with psycopg.connect(stack.urls["postgres"], autocommit=True) as session:
        change = "UPDATE campaigns SET stock = %s WHERE campaign_id = %s"
        session.execute(change, (1, campaign))
        try:
            expect(law).to_have_class("bad")
            expect(law).to_contain_text("more than the stock of 1")
            assert desk.faults() == []
        finally:
            session.execute(change, (2, campaign))
    expect(law).to_have_class("good")
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1


def test_what_is_not_known_yet_is_told_until_it_is(desk: Desk) -> None:
    page = desk.open("/drops")
    expect(page.locator("#live.on")).to_be_visible()
    expect(page.locator(".needs")).not_to_contain_text("not known")
    desk.open("/health")
    expect(page.locator("#gates ~ .wide")).to_contain_text("none known")


def test_page_is_not_fetched_again_while_nothing_changes(desk: Desk, stack: RunningStack) -> None:
    """What the template and the page's script write of a drop has to be the same for that."""
    campaign = stack.create(1, name="Sold out and quiet")
    assert stack.claim(campaign, "ann").status == 202
    assert stack.standing(campaign, "ann").json["status"] == "ISSUED"
    assert stack.claim(campaign, "bob").code == "COUPON_OUT_OF_STOCK"
    page = desk.open(f"/drops/{campaign}")
    expect(page.locator(".stock-SOLD_OUT").first).to_be_visible()
    expect(page.locator("#live.on")).to_be_visible()
    page.wait_for_timeout(1500)  # what was not known when it was made has come by then
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.wait_for_timeout(3500)
    assert page.url not in fetched


def test_filter_of_somebody_who_is_signed_out_leads_to_the_sign_in(desk: Desk) -> None:
    page = desk.open("/dead-letters")
    page.context.clear_cookies()
    filter_by(page, 1)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_empty_lists_and_problems_are_usable_by_everybody(
    seat: Callable[..., Desk], stack: RunningStack, language: str
) -> None:
    campaign, faults = stack.create(1, name="Nobody came"), {}
    desk = seat(language, phone=True)
    desk.sign_in()
    for name, path in EMPTY.items():
        page = desk.open(path.format(campaign=campaign))
        expect(page.locator(".empty").first).to_be_visible()
        faults[name] = desk.faults()
    page = desk.open("/person?user=nobody-at-all")
    expect(page.get_by_role("status")).to_be_visible()
    faults["person"] = desk.faults()
    for path, code in PROBLEMS.items():
        page = desk.open(path)
        expect(page.locator(".detail code")).to_have_text(code)
        faults[path] = desk.faults()
    assert {name: found for name, found in faults.items() if found} == {}


def test_problem_page_asks_again_for_the_same_page(desk: Desk, stack: RunningStack) -> None:
    path = "/campaigns?before=9000000000"
    with stopped(stack, "postgres"):
        page = desk.open(path)
        expect(page.locator(".detail code")).to_have_text("TEMPORARILY_UNAVAILABLE")
        assert desk.faults() == []
    assert [line for line in desk.said if "503" not in line] == []
    desk.said.clear()
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
    assert page.url.endswith(path)
    eventually("the engines answer", lambda: stack.claim(stack.create(1), "ann").status == 202)
