"""The support desk's answers over real rows and a real gate, and the pages over a real console."""

from collections.abc import Iterator
from functools import partial

import pytest

from firstcome import postgres
from firstcome.campaigns import Campaigns
from firstcome.console.audit import AuditTrail
from firstcome.console.people import Finding, InCampaign, People
from firstcome.gate.session import GateSession
from firstcome.model import CampaignId, Engine, UserId
from firstcome.settings import Settings
from tests.integration.letters_stage import claimed, ids, letters_of, poisoned, recorded
from tests.integration.operators_port import (
    KEY,
    eventually,
    running_console,
    without_database,
    without_gate_and_log,
)
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration

BROWSER = {"Accept": "text/html"}


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    """A drop of this test alone."""
    recovery = Recovery(scaled(settings))
    yield recovery
    recovery.close()


def looked_up(drop: Recovery, number: CampaignId, user: str) -> InCampaign:
    """Return where a user stands in one campaign."""
    connect = partial(postgres.connect, drop.settings.postgres)
    people = People(connect, partial(GateSession.open, drop.settings.redis))
    found = people.look_up(UserId(user), Campaigns(connect).list())
    return next(each for each in found if each.campaign.campaign_id == number)


def test_support_desk_finds_each_standing_in_rows_and_gate(drop: Recovery) -> None:
    number = poisoned(drop, "poison-2", "poison-3")
    first, second = ids(drop)
    claimed(drop, number, "under-way")
    winner = looked_up(drop, number, "ann")
    assert (winner.finding, winner.place, winner.told) == (Finding.ISSUED, 1, False)
    waiting = looked_up(drop, number, "poison-2")
    assert waiting.finding is Finding.UNDER_REVIEW
    assert waiting.open_letter is not None
    assert waiting.open_letter.dead_letter_id == first
    assert looked_up(drop, number, "under-way").finding is Finding.UNDER_WAY
    assert looked_up(drop, number, "nobody").finding is Finding.ABSENT

    [decision] = letters_of(drop).discard([second], "minji")
    assert decision.stands
    drop.session.call("HDEL", f"fc:{{{number}}}:gate", "epoch")
    gone = looked_up(drop, number, "poison-3")
    assert gone.finding is Finding.GIVEN_UP
    assert [each.reason for each in gone.cancelled] == ["DISCARDED"]
    assert looked_up(drop, number, "nobody").finding is Finding.UNKNOWN


def test_support_desk_knows_when_the_last_coupon_went(drop: Recovery) -> None:
    number = drop.open_campaign(limit=1)
    recorded(drop, claimed(drop, number, "ann"))
    absent = looked_up(drop, number, "bob")
    assert absent.finding is Finding.ABSENT
    assert absent.sold_out_at is not None
    assert absent.sold_out_at.timestamp() == 1_795_000_000.5


def test_support_desk_says_what_rows_say_while_redis_is_away(drop: Recovery) -> None:
    number = poisoned(drop, "poison-2")
    drop.settings = without_gate_and_log(drop.settings)
    assert looked_up(drop, number, "ann").finding is Finding.ISSUED
    assert looked_up(drop, number, "nobody").finding is Finding.UNKNOWN


def test_pages_of_a_running_console_are_signed_into_and_operate(settings: Settings) -> None:
    with running_console(settings) as port:
        client = port.stranger
        assert client.get("/drops", headers=BROWSER).status_code == 303
        client.post("/sign-in", data={"name": "minji", "key": KEY}, headers=BROWSER)
        token = client.get("/campaigns", headers=BROWSER).text
        token = token.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": token, "name": "Page", "stock": "5", "engine": "direct", "zone": "+00:00"}
        form |= {"step": "do", "confirmation": "once"}
        made = client.post("/campaigns/new", data=form, headers=BROWSER)
        assert made.status_code == 303
        number = int(made.headers["location"].partition("/drops/")[2].partition("?")[0])
        shown = client.get(f"/drops/{number}", headers=BROWSER).text
        assert "made the campaign" in shown
        assert port.sql("SELECT actor, action FROM audit") == [("minji", "campaign.create")]
        names = {"user": "ann"}
        assert "never admitted" in client.get("/person", params=names, headers=BROWSER).text


def test_pages_say_that_the_database_is_away(settings: Settings) -> None:
    with running_console(without_database(settings)) as port:
        client = port.stranger
        client.post("/sign-in", data={"name": "minji", "key": KEY}, headers=BROWSER)
        answer = client.get("/campaigns", headers=BROWSER)
        assert answer.status_code == 503
        assert "Coupons already promised are safe" in answer.text
        assert client.get("/health", headers=BROWSER).status_code == 200


def test_audit_trail_names_who_did_what_newest_first(settings: Settings) -> None:
    connect = partial(postgres.connect, settings.postgres)
    campaigns = Campaigns(connect)
    made = campaigns.create(name="A", stock=1, actor="ann")
    campaigns.restock(made.campaign_id, 4, "bob")
    trail = AuditTrail(connect)
    trail.note("cat", "operator.sign_out", {"operator": "ann"})
    deeds = trail.of(made.campaign_id)
    assert [(deed.actor, deed.action) for deed in deeds] == [
        ("bob", "campaign.restock"),
        ("ann", "campaign.create"),
    ]
    assert deeds[0].detail["coupons"] == 4


def test_support_desk_finds_somebody_in_a_campaign_that_is_long_over(drop: Recovery) -> None:
    number = drop.open_campaign(limit=1)
    recorded(drop, claimed(drop, number, "ann"))
    drop.database.execute(
        "INSERT INTO campaigns (name, engine, stock, position_limit)"
        " SELECT 'newer', 'direct', 1, 1 FROM generate_series(1, 120)"
    )
    connect = partial(postgres.connect, drop.settings.postgres)
    people = People(connect, partial(GateSession.open, drop.settings.redis))
    known = sorted(Campaigns(connect).list(), key=lambda each: each.campaign_id != number)
    found = people.look_up(UserId("ann"), known)
    assert (found[0].campaign.campaign_id, found[0].finding) == (number, Finding.ISSUED)
    assert len(found) == 11  # and the newest of those without a trace


def test_rebuild_that_an_operator_begins_opens_the_gate_in_a_new_epoch(drop: Recovery) -> None:
    number = drop.open_campaign(limit=5, engine=Engine.QUEUE)
    with running_console(drop.settings) as port:
        client = port.stranger
        client.post("/sign-in", data={"name": "minji", "key": KEY}, headers=BROWSER)
        shown = client.get(f"/health/rebuild?campaign={number}", headers=BROWSER).text
        form = {
            "csrf": shown.partition('name="csrf" value="')[2].partition('"')[0],
            "confirmation": "once",
            "campaign": str(number),
        }
        assert client.post("/health/rebuild", data=form, headers=BROWSER).status_code == 303
        eventually(lambda: "Done:" in client.get("/health", headers=BROWSER).text, True)
        assert drop.campaign(number).epoch == 2
        audit = "SELECT actor, action FROM audit WHERE campaign_id = %s"
        assert port.sql(audit, number) == [("minji", "campaign.rebuild")]


def test_place_of_a_live_page_comes_back_when_its_browser_goes(settings: Settings) -> None:
    with running_console(settings) as port:
        headers = {"Authorization": f"Bearer {KEY}"}

        def status() -> int:
            with port.stranger.stream("GET", "/live", headers=headers) as stream:
                if stream.status_code == 200:
                    assert b"retry" in next(stream.iter_raw())
                return stream.status_code

        for _ in range(8):  # more than there are places
            eventually(status, 200)
