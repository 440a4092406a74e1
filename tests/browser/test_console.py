"""The console as operators use it: in a browser, before a real stack."""

import os
import re
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest
from playwright.sync_api import Page, expect
from psycopg import sql

from conftest import Desk
from running import RunningStack, eventually

pytestmark = pytest.mark.system

PAGES = {
    "drops": "/drops",
    "drop": "/drops/{campaign}",
    "campaigns": "/campaigns",
    "campaign-new": "/campaigns/new",
    "campaign-close": "/campaigns/{campaign}/close",
    "dead-letters": "/dead-letters?state=",
    "dead-letter": "/dead-letters/{letter}",
    "person": "/person?user={user}",
    "health": "/health",
    "rebuild": "/health/rebuild?campaign={campaign}",
    "reports": "/reports",
    "operators": "/operators",
}
CODE = re.compile(r"Code: ([0-9A-Z]{4}-){5}[0-9A-Z]{4}$")
LOOKS = {
    "desktop-en": {"language": "en-US"},
    "desktop-dark-ko": {"language": "ko-KR", "dark": True},
    "phone-ko": {"language": "ko-KR", "phone": True},
    "phone-dark-en": {"language": "en-US", "phone": True, "dark": True},
}


@contextmanager
def refusing(stack: RunningStack, word: str) -> Iterator[None]:
    """Let the database refuse to issue to users whose name begins with the word."""
    name = sql.Identifier(f"refuses_{word}")
    with psycopg.connect(stack.urls["postgres"], autocommit=True) as session:
        condition = sql.SQL("status <> 'ISSUED' OR user_id NOT LIKE {}").format(f"{word}%")
        add = sql.SQL("ALTER TABLE issuances ADD CONSTRAINT {} CHECK ({}) NOT VALID")
        session.execute(add.format(name, condition))
        try:
            yield
        finally:
            session.execute(sql.SQL("ALTER TABLE issuances DROP CONSTRAINT {}").format(name))


class Case:
    """A campaign with a winner and somebody whose claim waits as a dead letter."""

    def __init__(self, stack: RunningStack) -> None:
        word = f"w{uuid.uuid4().hex[:8]}"
        self.winner, self.waiting, self.late = f"{word}win", f"{word}wait", f"{word}late"
        self.campaign = stack.create(2, name="Two coupons")
        assert stack.claim(self.campaign, self.winner).status == 202
        with refusing(stack, self.waiting):
            assert stack.claim(self.campaign, self.waiting).status == 202
            standing = stack.standing(self.campaign, self.waiting).json
            assert standing["status"] == "UNDER_REVIEW"
        assert stack.claim(self.campaign, self.late).code == "COUPON_OUT_OF_STOCK"
        found = stack.said("dead-letters", "list", "--campaign", str(self.campaign))
        [self.letter] = [each["dead_letter_id"] for each in found["dead_letters"]]


@pytest.fixture
def case(stack: RunningStack) -> Case:
    """A case of this test alone."""
    return Case(stack)


def issued(page: Page) -> int:
    """Return what the open page says is issued, without asking the server anything."""
    text = page.locator('[data-field="issued"]').first.inner_text()
    return int(text.replace(",", ""))


def test_newcomer_makes_a_campaign_and_watches_its_drop(desk: Desk, stack: RunningStack) -> None:
    page = desk.page
    page.get_by_role("link", name="New campaign").first.click()
    page.get_by_label("Name").fill("Launch night")
    page.get_by_label("Stock").fill("3,000")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", name="Is this right?")).to_be_visible()
    desk.shoot("confirm-desktop-en")
    page.get_by_role("button", name="Make the campaign").click()
    page.wait_for_url("**/drops/*?done=create")
    campaign = int(re.findall(r"/drops/(\d+)", page.url)[0])
    expect(page.locator(".live")).to_have_text("Live: new numbers every second")
    expect(page.locator("[data-beside] .gate-OPEN")).to_be_visible()

    eventually("it admits", lambda: stack.claim(campaign, "first").status in (202, 409))
    crowd = [
        threading.Thread(target=lambda part=part: claims(stack, campaign, part, 150))
        for part in range(4)
    ]
    for each in crowd:
        each.start()
    eventually("the number moves by itself", lambda: 0 < issued(page) < 601)
    desk.shoot("drop-live-desktop-en")
    for each in crowd:
        each.join()
    eventually("the page says what was issued", lambda: issued(page) == 601)
    expect(page.locator("#chart canvas")).to_be_visible()
    page.get_by_text("The newest numbers as a table").click()
    expect(page.locator("#points tbody tr").first).to_be_visible()
    shown = stack.said("campaign", "show", str(campaign))
    assert shown["issued"] == 601


def claims(stack: RunningStack, campaign: int, part: int, count: int) -> None:
    """Let some users ask, one after the other."""
    for index in range(count):
        stack.claim(campaign, f"user-{part}-{index}")


def test_operator_pauses_resumes_and_restocks(desk: Desk, stack: RunningStack) -> None:
    campaign, page = stack.create(100, name="To be paused"), desk.page
    users = (f"user-{number}" for number in count())  # one who got a coupon is told so ever after
    desk.open(f"/drops/{campaign}")
    page.get_by_role("link", name="Pause").click()
    expect(page.get_by_text("Nobody is admitted until you resume")).to_be_visible()
    page.get_by_role("button", name="Pause now").click()
    expect(page.get_by_role("status").first).to_contain_text("Paused")
    eventually(
        "users are refused", lambda: stack.claim(campaign, next(users)).code == "CAMPAIGN_NOT_OPEN"
    )
    page.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume now").click()
    eventually("users are admitted", lambda: stack.claim(campaign, next(users)).status == 202)
    page.get_by_role("link", name="Restock").click()
    page.get_by_label("Coupons to add").fill("nothing")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was changed")
    page.get_by_label("Coupons to add").fill("41")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("141", exact=True)).to_be_visible()
    page.get_by_role("button", name="Add to the stock").dblclick()
    expect(page.get_by_text("restocked (+41)")).to_be_visible()
    assert stack.said("campaign", "show", str(campaign))["stock"] == 141
    expect(page.locator("tbody").last.get_by_text("minji").first).to_be_visible()


def test_operator_redrives_a_dead_letter_after_a_dry_run(
    desk: Desk, stack: RunningStack, case: Case
) -> None:
    page = desk.open("/dead-letters")
    page.get_by_label("Campaign").fill(str(case.campaign))
    page.get_by_label("Campaign").press("Tab")
    page.wait_for_url(f"**campaign={case.campaign}**")
    expect(page.locator("input[name=letter]")).to_have_count(1)
    page.get_by_label("Tick all on this page").check()
    page.get_by_role("button", name="Redrive").click()
    expect(page.get_by_text("1 of 1 would stand as asked.")).to_be_visible()
    assert stack.standing(case.campaign, case.waiting, wait=0).json["status"] == "UNDER_REVIEW"
    desk.shoot("redrive-dry-run-desktop-en")
    page.get_by_role("button", name="Redrive 1").click()
    expect(page.get_by_role("status")).to_contain_text("1 of 1 stand as asked")
    eventually(
        "he has his coupon",
        lambda: stack.standing(case.campaign, case.waiting).json["status"] == "ISSUED",
    )


def test_operator_closes_and_archives_a_campaign(desk: Desk, stack: RunningStack) -> None:
    campaign, page = stack.create(3, name="To be archived"), desk.page
    assert stack.claim(campaign, "ann").status == 202
    desk.open(f"/drops/{campaign}")
    page.get_by_role("link", name="Close").click()
    page.get_by_role("button", name="Close for good").click()
    expect(page.get_by_role("status").first).to_contain_text("Closed for good")
    gate = page.locator("[data-field=under_way]")
    expect(gate).to_have_text("0")
    page.get_by_role("link", name="Archive").click()
    expect(page.get_by_text("Users go on seeing their coupons")).to_be_visible()
    refused = page.get_by_role("alert")
    page.get_by_role("button", name="Archive for good").click()
    while refused.count():  # the gate has not heard of the close yet
        expect(refused).to_contain_text("try again")
        page.get_by_role("button", name="Archive for good").click()
    expect(page.get_by_role("status").first).to_contain_text("Archived")
    expect(page.locator(".state-ARCHIVED")).to_be_visible()
    assert stack.said("campaign", "show", str(campaign))["state"] == "ARCHIVED"
    assert stack.standing(campaign, "ann").json["status"] == "ISSUED"


def test_operator_rebuilds_a_gate_and_watches_it(desk: Desk, stack: RunningStack) -> None:
    campaign, page = stack.create(3, name="To be rebuilt"), desk.page
    desk.open("/health")
    page.get_by_role("link", name="Rebuild: To be rebuilt").click()
    expect(page.get_by_text("Nobody loses his coupon or his place")).to_be_visible()
    page.get_by_role("button", name="Shut and rebuild: 1").click()
    result = page.locator("#rebuild ~ .note")
    expect(result).to_contain_text("1 of 1 gates, begun by minji")
    expect(result).to_contain_text("Done:")
    assert stack.said("campaign", "show", str(campaign))["epoch"] == 2
    desk.open(f"/drops/{campaign}")
    expect(page.get_by_text("had the gate rebuilt")).to_be_visible()
    eventually("it admits again", lambda: stack.claim(campaign, "ann").status == 202)


def test_health_explains_the_decisions_of_a_dry_run(desk: Desk, stack: RunningStack) -> None:
    page = desk.open("/health")
    expect(page.get_by_text("No autoscaler is at work")).to_be_visible()
    scaler = stack.start("serve", "autoscaler", "--dry-run")
    try:
        card = page.locator("#scaling ~ .card")
        expect(card).to_contain_text("Dry run")
        expect(card).to_contain_text("1 recorder kept")
        expect(card.locator(".badge")).to_have_text("kept")
    finally:
        scaler.terminate()
        scaler.communicate(timeout=30)


def test_health_shows_what_flows_and_who_was_redriven(
    desk: Desk, stack: RunningStack, case: Case
) -> None:
    page, users = desk.open("/health"), (f"{case.winner}-{number}" for number in count())
    for field in ("records_in", "records_out", "append_failures", "redis_memory"):
        expect(page.locator(f"[data-field={field}]")).to_have_text(re.compile(r"^[\d,]+\.\d$"))
    campaign, issued = stack.create(1000, name="Flows"), page.locator("[data-field=issued_p95]")

    def told() -> bool:
        stack.claim(campaign, next(users))
        return issued.inner_text() != "–"

    eventually("from asked to issued is told", told)
    redriven = expect(page.locator("[data-field=redriven]"))
    redriven.to_have_text("0", timeout=70_000)  # those of a minute ago are out
    stack.said("dead-letters", "redrive", str(case.letter))
    redriven.to_have_text("1")


def test_first_page_says_what_needs_somebody_without_a_reload(
    desk: Desk, stack: RunningStack
) -> None:
    page = desk.page
    expect(page.locator("#live.on")).to_be_visible()
    case = Case(stack)
    need = page.locator(".needs a[href='/dead-letters']")
    expect(need).to_contain_text("Dead letters that wait")
    need.click()
    expect(page.get_by_role("link", name=str(case.letter), exact=True)).to_be_visible()


def test_hidden_page_lets_its_place_go_and_catches_up(desk: Desk) -> None:
    page = desk.page
    expect(page.locator("#live.on")).to_be_visible()
    closed = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with page.expect_event("requestfailed") as gone:
        page.evaluate(closed, True)
    assert gone.value.url.endswith("/live")
    with page.expect_request("**/live"):
        page.evaluate(closed, False)
    expect(page.locator("#live.on")).to_be_visible()


def test_support_desk_says_why_somebody_has_a_coupon_or_none(desk: Desk, case: Case) -> None:
    for user, said in (
        (case.winner, "has the coupon"),
        (case.waiting, "waits for an operator"),
        (case.late, "never admitted"),
    ):
        page = desk.open("/person")
        page.get_by_label("User id").fill(user)
        page.get_by_role("button", name="Look up").click()
        card = page.locator("section.card", has_text=f"#{case.campaign}")
        expect(card.locator(".badge")).to_have_text(said)
    expect(card.get_by_text("The last coupon was asked for at")).to_be_visible()
    desk.open(f"/person?user={case.winner}")
    card = page.locator("section.card", has_text=f"#{case.campaign}")
    card.get_by_role("button", name="Show the code").click()
    expect(card.get_by_text("Code:")).to_contain_text(CODE)
    desk.open(f"/person?user={case.waiting}")
    page.get_by_role("link", name="Look at the dead letter and decide").click()
    expect(page.get_by_role("heading", name=f"Dead letter {case.letter}")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_usable_by_everybody(
    seat: Callable[..., Desk], case: Case, look: str
) -> None:
    desk = seat(**LOOKS[look])
    desk.open("/sign-in")
    faults = {"sign-in": desk.faults()}
    desk.shoot(f"sign-in-{look}")
    desk.sign_in()
    for name, path in PAGES.items():
        page = desk.open(path.format(campaign=case.campaign, letter=case.letter, user=case.waiting))
        if page.locator("#live").count():
            expect(page.locator("#live.on")).to_be_visible()
        if name == "health":
            expect(page.get_by_role("rowheader", name="api-1")).to_be_visible()
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        faults[name] = desk.faults() + ([f"{wide} px too wide"] if wide > 0 else [])
        desk.shoot(f"{name}-{look}")
    assert {name: found for name, found in faults.items() if found} == {}


def test_keyboard_alone_makes_a_campaign(desk: Desk) -> None:
    page = desk.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "New campaign"
    page.keyboard.press("Enter")
    page.wait_for_url("**/campaigns/new")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Tab")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Is this right?")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**/drops/*?done=create")


def test_stranger_learns_nothing_and_sign_out_makes_one(seat: Callable[..., Desk]) -> None:
    desk = seat()
    page = desk.open("/health")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.fill("#name", "eve")
    page.fill("#key", "a key that is nobody's at all, really")
    page.press("#key", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    desk.sign_in()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    desk.open("/drops")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_page_says_that_its_numbers_are_old_and_comes_back_to_life(
    desk: Desk, stack: RunningStack
) -> None:
    page = desk.page
    expect(page.locator("#live.on")).to_be_visible()
    [console] = [each["pid"] for each in stack.processes() if each["role"] == "console"]
    os.kill(console, signal.SIGSTOP)
    try:
        expect(page.locator("#live.lost")).to_contain_text("what is shown is old")
    finally:
        os.kill(console, signal.SIGCONT)
    expect(page.locator("#live.on")).to_be_visible()


def test_language_is_switched_and_kept(desk: Desk, case: Case) -> None:
    page = desk.page
    page.get_by_role("link", name="한국어").click()
    expect(page.get_by_role("heading", name="드롭", exact=True)).to_be_visible()
    desk.open(f"/drops/{case.campaign}")
    legend = page.locator(".u-legend")
    expect(legend).to_contain_text("처리 중")
    assert not re.search("[A-Za-z]", legend.inner_text())
    desk.open("/health")
    expect(page.get_by_role("heading", name="상태", exact=True)).to_be_visible()
