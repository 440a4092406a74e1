"""Drops to rebuild: rows of every kind, places that nobody recorded, and what must come of them."""

from firstcome.gate import register
from firstcome.model import CampaignId, Verdict
from tests.integration.recovery_stage import Recovery

ADMITTED, REPLAYED, DUPLICATE = Verdict.ADMITTED, Verdict.REPLAYED, Verdict.DUPLICATE
ISSUED, UNDER_REVIEW, CANCELLED = 1, 2, 3
D, GRACE = 0.2, 0.1


def run(drop: Recovery, *numbers: CampaignId, **how: object) -> int:
    """Rebuild these campaigns' gates."""
    rebuild = drop.rebuild(**how)  # type: ignore[arg-type]
    return rebuild.run_once([drop.campaign(number) for number in numbers])


def place(position: int, verdict: Verdict, settled: int = 0) -> int:
    """Return admit.lua's reply."""
    return position * 32 + settled * 8 + verdict


def mixed_drop(drop: Recovery) -> CampaignId:
    """Make a campaign with rows of every kind and with places that nobody recorded: 4, 6, 9."""
    number = drop.open_campaign(limit=10)
    drop.admit(number, "ann", "bob", "eve", "hole", "dan", "lost", attempt=7)
    drop.admit(number, "fay", "gus", "late")
    drop.add_row(number, 1, "ann", attempt=7)
    drop.add_row(number, 2, "bob", "UNDER_REVIEW", attempt=7)
    drop.add_row(number, 3, "eve", "DUPLICATE")
    drop.add_row(number, 5, "dan")
    drop.add_row(number, 7, "fay")
    drop.add_row(number, 8, "gus", "NOT_APPENDED")
    # Two cancelled so far, and the limit was raised with each.
    drop.database.execute(
        "UPDATE campaigns SET position_limit = 12 WHERE campaign_id = %s", (number,)
    )
    return number


def check_mixed_drop(drop: Recovery, number: CampaignId, *, holes: dict[int, str | None]) -> None:
    """See that rows, gate and users agree in the new epoch."""
    now = drop.campaign(number)
    rows = drop.rows(number)
    assert {n: row for n, row in rows.items() if row[1] == "HOLE"} == {
        n: (user, "HOLE") for n, user in holes.items()
    }
    assert now.position_limit == 12 + len(holes)
    codes = {"ISSUED": ISSUED, "UNDER_REVIEW": UNDER_REVIEW}
    assert drop.settled(number) == {n: codes.get(row[1], CANCELLED) for n, row in rows.items()}
    gate = register.read(drop.session, number)
    assert (gate.epoch, gate.version) == (now.epoch, now.version)
    assert (gate.position_last, gate.position_limit) == (max(rows), now.position_limit)
    assert drop.admit(number, "ann", "bob", attempt=7) == [
        place(1, REPLAYED, ISSUED),
        place(2, REPLAYED, UNDER_REVIEW),
    ]
    last = max(rows)
    assert drop.admit(number, "fay", "ann", "eve", "gus") == [
        place(7, DUPLICATE, ISSUED),
        place(1, DUPLICATE, ISSUED),
        place(last + 1, ADMITTED),
        place(last + 2, ADMITTED),
    ]
    ended = range(1, now.epoch)
    for epoch in ended:
        assert drop.session.call("KEYS", f"fc:{{{number}}}:{epoch}:*") == []
