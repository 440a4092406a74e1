"""Archived campaigns: refused while anything is open, then without a key, and still answered."""

import time
from collections.abc import Iterator
from functools import partial

import pytest

from firstcome.campaigns import Campaigns, archive
from firstcome.errors import Refused
from firstcome.gate import keys, register
from firstcome.gate.session import GateSession
from firstcome.issuance.archived import SURE_SECONDS, Archived
from firstcome.model import CampaignId, CampaignState, Engine
from firstcome.settings import Settings
from running import eventually
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    """A drop of this test alone."""
    recovery = Recovery(scaled(settings))
    yield recovery
    recovery.close()


@pytest.fixture
def campaigns(drop: Recovery) -> Campaigns:
    return Campaigns(drop.connect)


def put_away(drop: Recovery, campaigns: Campaigns, number: CampaignId) -> CampaignState:
    open_gate = partial(GateSession.open, drop.settings.redis)
    return archive(campaigns, open_gate, number, "tester").state


def closed(drop: Recovery, campaigns: Campaigns, *users: str) -> CampaignId:
    """Return a closed campaign with these users' claims recorded, its gate up to date."""
    number = drop.open_campaign()
    if users:
        drop.admit(number, *users)
        drop.append(number, 1, users)
        drop.record_log()
    campaigns.close(number, "tester")
    mirrored(drop)
    return number


def mirrored(drop: Recovery) -> None:
    sweeper = drop.sweeper()
    sweeper.run_once()
    sweeper.close()


def fence(drop: Recovery, number: CampaignId) -> tuple[int, bool]:
    """Return the last position of its only epoch, and whether that is crossed off."""
    ((last, unlinked),) = drop.database.execute(
        "SELECT last_position, unlinked FROM epochs WHERE campaign_id = %s", (number,)
    ).fetchall()
    return last, unlinked


def keys_of(drop: Recovery, number: CampaignId) -> list[str]:
    """Return every key of a campaign that Redis has."""
    cursor, found = b"0", list[str]()
    while True:
        reply = drop.session.call("SCAN", cursor, "MATCH", f"fc:{{{number}}}:*", "COUNT", 1000)
        assert isinstance(reply, list)
        cursor, names = reply
        found += [name.decode() for name in names]
        if cursor == b"0":
            return sorted(found)


def test_archived_campaign_leaves_redis_and_keeps_its_rows(
    drop: Recovery, campaigns: Campaigns
) -> None:
    number, other = closed(drop, campaigns, "ann", "bob"), closed(drop, campaigns, "ann")
    rows = drop.rows(number)
    assert keys_of(drop, number)
    assert put_away(drop, campaigns, number) is CampaignState.ARCHIVED
    sweeper = drop.sweeper()
    assert sweeper.run_once().removed == 1
    assert keys_of(drop, number) == []
    assert keys_of(drop, other) != []
    assert drop.rows(number) == rows
    time.sleep(drop.settings.sweeper.tick_seconds)
    assert sweeper.run_once().removed == 0
    sweeper.close()
    assert put_away(drop, campaigns, number) is CampaignState.ARCHIVED
    with pytest.raises(Refused):
        campaigns.resume(number, "tester")
    assert fence(drop, number) == (2, False)
    actions = drop.database.execute(
        "SELECT action FROM audit WHERE campaign_id = %s ORDER BY audit_id DESC LIMIT 1", (number,)
    ).fetchall()
    assert actions == [("campaign.archive",)]


def test_keys_that_come_back_are_removed_before_their_epoch_is_crossed_off(
    drop: Recovery, campaigns: Campaigns
) -> None:
    number = closed(drop, campaigns, "ann", "bob")
    put_away(drop, campaigns, number)
    now = [0.0]
    archived = Archived(clock=lambda: now[0])

    def step() -> int:
        return archived.run_once(drop.database, drop.session)

    assert step() == 1
    # A rebuild that had read the campaign before that was archived, and died at once.
    register.shut(drop.session, number, "shut:1:token")
    drop.session.call("SET", keys.settled(number, 1), "what a server forgot to forget")
    assert (step(), fence(drop, number)) == (0, (2, False))
    drop.session.run_id, real = "of another life", drop.session.run_id
    now[0] += SURE_SECONDS
    assert (step(), fence(drop, number)) == (1, (2, False)), "nothing is sure in a new life"
    drop.session.run_id = real
    assert keys_of(drop, number) == []
    register.shut(drop.session, number, "shut:1:token")
    assert step() == 1
    now[0] += SURE_SECONDS
    register.shut(drop.session, number, "shut:1:token")
    assert (step(), fence(drop, number)) == (0, (2, True))
    assert keys_of(drop, number) == []
    assert step() == 0


@pytest.mark.parametrize("engine", [Engine.KAFKA, Engine.DIRECT])
def test_campaign_that_is_not_closed_is_not_archived(
    drop: Recovery, campaigns: Campaigns, engine: Engine
) -> None:
    number = drop.open_campaign(engine=engine, epoch=1 if engine is Engine.KAFKA else 0)
    for state in ("OPEN", "PAUSED"):
        with pytest.raises(Refused, match=state):
            put_away(drop, campaigns, number)
        campaigns.pause(number, "tester")
        mirrored(drop)


def test_campaign_with_claims_under_way_is_not_archived(
    drop: Recovery, campaigns: Campaigns
) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann", "bob")
    campaigns.close(number, "tester")
    mirrored(drop)
    with pytest.raises(Refused, match=r"2 claims .* under way"):
        put_away(drop, campaigns, number)
    drop.append(number, 1, ["ann", "bob"])
    drop.record_log()
    assert put_away(drop, campaigns, number) is CampaignState.ARCHIVED


def test_campaign_with_an_undecided_dead_letter_is_not_archived(
    drop: Recovery, campaigns: Campaigns
) -> None:
    number = closed(drop, campaigns, "ann")
    drop.database.execute(
        "INSERT INTO dead_letters (campaign_id, reason, detail) VALUES (%s, 'UNDECODABLE', 'bad')",
        (number,),
    )
    with pytest.raises(Refused, match="1 dead letters"):
        put_away(drop, campaigns, number)


def test_gate_that_has_not_heard_of_the_closing_may_still_admit(
    drop: Recovery, campaigns: Campaigns
) -> None:
    number = drop.open_campaign()
    campaigns.close(number, "tester")
    with pytest.raises(Refused, match="has not heard"):
        put_away(drop, campaigns, number)
    mirrored(drop)
    register.shut(drop.session, number, "shut:1:token")
    with pytest.raises(Refused, match="has not heard"):
        put_away(drop, campaigns, number)


def test_rebuild_does_not_bring_an_archived_campaign_back(
    drop: Recovery, campaigns: Campaigns
) -> None:
    number = closed(drop, campaigns, "ann")
    before = drop.campaign(number)
    put_away(drop, campaigns, number)
    mirrored(drop)
    # It had read the campaign before that was archived.
    assert drop.rebuild().run_once([before]) == 0
    assert keys_of(drop, number) == []


def test_every_key_is_listed_and_has_no_ttl(drop: Recovery, campaigns: Campaigns) -> None:
    number = drop.open_campaign()
    drop.admit(number, "ann", "bob")
    drop.append(number, 1, ["ann", "bob"])
    drop.record_log()
    sweeper = drop.sweeper()
    eventually("claims are settled", lambda: (sweeper.run_once(), drop.settled(number))[1], bool)
    sweeper.close()
    drop.admit(number, "eve")
    found = keys_of(drop, number)
    kinds = {name: keys.key_of(name) for name in found}
    assert {key.name for key in kinds.values() if key} == {key.name for key in keys.KEYS}
    for name, key in kinds.items():
        assert key is not None
        assert drop.session.call("TYPE", name) == key.type.encode()
        assert drop.session.call("TTL", name) == (
            -1 if key.ttl_seconds is None else key.ttl_seconds
        )
