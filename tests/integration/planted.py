"""Every violation that the check of the laws must find: how it is planted, what is reported.

One row a plant. Each gets a campaign of its own in one database, gate and topic, so that one
run of the check sees them all and whatever else it reported would be a false alarm.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.integration import planting
from tests.integration.kept_drop import KeptDrop, user_of

Expected = tuple[str, str, int | None, str | None]  # law, kind, position, user


class Plant(NamedTuple):
    """One way to break a law."""

    name: str
    how: Callable[[KeptDrop, int], None]
    expected: set[Expected]
    engine: str = "kafka"
    # The violation names no campaign, or one that the database does not have.
    campaign: Callable[[int], int | None] = lambda campaign_id: campaign_id


SUM: Expected = ("L6", "SUM_DIFFERS", None, None)
STOCK: Expected = ("L8", "STOCK_WITHOUT_AUDIT", None, None)

FORGOTTEN: set[Expected] = {("L3", "FORGOTTEN", 13, "lost"), SUM}
UNDECIDED: set[Expected] = {
    ("L7", "DECISION_NOT_DONE", 10, user_of(10)),
    ("L7", "REVIEW_WITHOUT_DEAD_LETTER", 10, user_of(10)),
}

PLANTS = [
    # L1
    Plant(
        "more live rows than coupons",
        planting.campaign("stock = 9, position_limit = 12", "position_limit", 12),
        {("L1", "LIVE_ABOVE_STOCK", None, None), ("L1", "LIMIT_NOT_STOCK", None, None), SUM, STOCK},
    ),
    Plant(
        "a row beyond the limit",
        planting.row_beyond_the_limit,
        {("L1", "BEYOND_LIMIT", 30, "beyond"), SUM},
    ),
    Plant(
        "a limit raised for nothing",
        planting.campaign("position_limit = 23", "position_limit", 23),
        {("L1", "LIMIT_NOT_STOCK", None, None), SUM},
    ),
    Plant(
        "a gate that offers more than the database",
        planting.campaign("", "position_limit", 25),
        {("L1", "GATE_LIMIT_HIGHER", None, None), SUM},
    ),
    Plant(
        "a gate that gave more than it had",
        planting.campaign(
            "stock = 10, position_limit = 12", "position_limit", 12, "position_last", 13
        ),
        {("L1", "GATE_LAST_BEYOND_LIMIT", None, None), SUM, STOCK},
    ),
    Plant(
        "a direct campaign that sold more than it had",
        planting.campaign("stock = 9, position_limit = 12"),
        {("L1", "LIVE_ABOVE_STOCK", None, None), ("L1", "LIMIT_NOT_STOCK", None, None), SUM, STOCK},
        engine="direct",
    ),
    # L2
    Plant(
        "a user with two rows",
        planting.row(9, f"user_id = '{user_of(6)}'"),
        {
            ("L2", "USER_TWICE", 9, user_of(6)),
            ("L3", "RECORDED_FOR_ANOTHER", 9, user_of(9)),
            ("L6", "PLACE_OF_ANOTHER", 9, user_of(9)),
            ("L6", "NOT_IN_GATE", 9, user_of(6)),
        },
    ),
    Plant(
        "a user with two rows of a direct campaign",
        planting.row(9, f"user_id = '{user_of(6)}'"),
        {("L2", "USER_TWICE", 9, user_of(6))},
        engine="direct",
    ),
    Plant(
        "two rows at one position",
        planting.row_twice,
        {("L2", "POSITION_TWICE", 9, user_of(9)), ("L2", "USER_TWICE", 9, user_of(9))},
    ),
    Plant(
        "a user in the wrong bucket",
        planting.in_wrong_bucket,
        {("L2", "USER_IN_WRONG_BUCKET", 7, user_of(7))},
    ),
    Plant(
        "a user in two buckets",
        planting.in_two_buckets,
        {("L2", "USER_IN_WRONG_BUCKET", 7, user_of(7))},
    ),
    Plant(
        "a place that two users hold",
        lambda drop, number: drop.hold(number, "thief", 7),
        {("L2", "PLACE_HELD_TWICE", 7, "thief")},
    ),
    # L3
    Plant("a claim that only the log knows", planting.claim_on_the_log_only, FORGOTTEN),
    Plant("a claim that only the journal knows", planting.claim_in_the_journal_only, FORGOTTEN),
    Plant(
        "a queue's claim that only the journal knows",
        planting.claim_in_the_journal_only,
        FORGOTTEN,
        engine="queue",
    ),
    Plant("a claim that only the gate knows", planting.claim_in_the_gate_only, FORGOTTEN),
    Plant(
        "a claim beyond the limit that nobody set aside",
        planting.claim_beyond_the_limit,
        {("L3", "FORGOTTEN", 40, "far")},
    ),
    Plant(
        "a row that is gone",
        planting.row_gone,
        {
            ("L3", "FORGOTTEN", 9, user_of(9)),
            ("L4", "LISTED_NOT_ISSUED", 9, None),
            ("L7", "SETTLED_WITHOUT_ROW", 9, None),
            SUM,
        },
    ),
    Plant(
        "a record of a position that went to another",
        lambda drop, number: drop.append_claims(number, 2, 8, ["other"]),
        {("L3", "RECORDED_FOR_ANOTHER", 8, "other")},
    ),
    Plant(
        "a journal entry of a position that went to another",
        lambda drop, number: drop.journal(number, 8, ["other"]),
        {("L3", "RECORDED_FOR_ANOTHER", 8, "other")},
    ),
    Plant(
        "a row from beyond the end of its epoch",
        planting.row(7, "epoch = 1"),
        {("L3", "FENCED_ROW", 7, user_of(7))},
    ),
    Plant(
        "a row of an epoch that never began",
        planting.row(7, "epoch = 9"),
        {("L3", "ROW_OF_UNKNOWN_EPOCH", 7, user_of(7))},
    ),
    Plant(
        "a record of an epoch that never began",
        lambda drop, number: drop.append_claims(number, 7, 13, ["early"]),
        {("L3", "RECORD_OF_UNKNOWN_EPOCH", 13, "early")},
    ),
    Plant(
        "a record of a campaign that does not exist",
        lambda drop, number: drop.append_claims(number + 1_000_000_000, 1, 1, ["nobody"]),
        {("L3", "RECORD_OF_UNKNOWN_CAMPAIGN", None, None)},
        campaign=lambda number: number + 1_000_000_000,
    ),
    Plant(
        "a record that cannot be read",
        lambda drop, number: drop.append(b'{"campaign_id":'),
        {("L3", "UNREADABLE_RECORD", None, None)},
        campaign=lambda _: None,
    ),
    # L4
    Plant(
        "an issuance that is not listed",
        planting.unlist_the_last,
        {("L4", "NOT_LISTED", 12, user_of(12))},
    ),
    Plant(
        "an issuance listed twice",
        planting.listed("{[6,7)}"),
        {("L4", "LISTED_TWICE", 6, user_of(6))},
    ),
    Plant(
        "a cancelled position listed",
        planting.listed("{[5,6)}"),
        {("L4", "LISTED_NOT_ISSUED", 5, None)},
    ),
    Plant(
        "a position under review listed",
        planting.listed("{[10,11)}"),
        {("L4", "LISTED_NOT_ISSUED", 10, user_of(10))},
    ),
    Plant(
        "positions listed that nobody has",
        planting.listed("{[40,42)}"),
        {("L4", "LISTED_NOT_ISSUED", 40, None)},
    ),
    Plant(
        "a coupon that counts as published and is not",
        planting.published("{[7,8)}"),
        {("L4", "NOT_PUBLISHED", 7, user_of(7))},
    ),
    Plant(
        "an event of a cancelled position",
        planting.told(11, user_of(11)),
        {("L4", "PUBLISHED_NOT_ISSUED", 11, user_of(11))},
    ),
    Plant(
        "an event that names another user",
        planting.told(7, "other"),
        {("L4", "PUBLISHED_FOR_ANOTHER", 7, "other")},
    ),
    Plant(
        "a record that is no event",
        planting.unreadable_event,
        {("L4", "UNREADABLE_EVENT", None, None)},
        campaign=lambda campaign_id: None,
    ),
    # L5
    Plant(
        "a row requested before the one below it",
        planting.row(8, "requested_at = requested_at - interval '1 minute'"),
        {("L5", "REQUESTED_OUT_OF_ORDER", 8, user_of(8))},
    ),
    Plant(
        "a batch sent before the one below it",
        lambda drop, number: drop.append_claims(number, 2, 12, [user_of(12)], late=-60),
        {("L5", "REQUESTED_OUT_OF_ORDER", 12, user_of(12))},
    ),
    Plant(
        "a position that nobody claims",
        planting.campaign("", "position_last", 13),
        {("L5", "HOLE", 13, None), SUM},
    ),
    Plant(
        "a hole in a direct campaign",
        planting.campaign("position_last = 13"),
        {("L5", "HOLE", 13, None), SUM},
        engine="direct",
    ),
    # L6
    Plant(
        "a gate that keeps coupons back",
        planting.campaign("", "position_limit", 21),
        {("L6", "GATE_LIMIT_LOWER", None, None), SUM},
    ),
    Plant(
        "a change that the gate has not learnt of",
        planting.campaign("version = 4"),
        {("L6", "MIRROR_BEHIND", None, None)},
    ),
    Plant(
        "a version that the database never had",
        planting.campaign("", "version", 9),
        {("L6", "MIRROR_AHEAD", None, None)},
    ),
    Plant(
        "another state at the same version",
        planting.campaign("", "state", "PAUSED"),
        {("L6", "MIRROR_DIFFERS", None, None)},
    ),
    Plant(
        "a gate that would give a position again",
        planting.campaign("", "position_last", 11),
        {
            ("L6", "ROW_BEYOND_LAST", 12, user_of(12)),
            SUM,
        },
    ),
    Plant(
        "a place that was never given",
        lambda drop, number: drop.hold(number, "early", 15),
        {("L6", "PLACE_BEYOND_LAST", 15, "early")},
    ),
    Plant(
        "a place under another's name",
        planting.taken_in_the_gate,
        {("L6", "PLACE_OF_ANOTHER", 8, "other"), ("L6", "NOT_IN_GATE", 8, user_of(8))},
    ),
    Plant(
        "a winner whom the gate does not know",
        lambda drop, number: drop.let_go(number, user_of(8)),
        {("L6", "NOT_IN_GATE", 8, user_of(8))},
    ),
    Plant(
        "a cancelled user who was not released",
        lambda drop, number: drop.hold(number, user_of(11), 11),
        {("L6", "NOT_RELEASED", 11, user_of(11))},
    ),
    Plant(
        "an issuance that the gate calls open",
        planting.settled(8, 0),
        {("L6", "SETTLED_BEHIND", 8, user_of(8))},
    ),
    Plant(
        "an issuance that the gate calls under review",
        planting.settled(8, 2),
        {("L6", "SETTLED_BEHIND", 8, user_of(8))},
    ),
    Plant(
        "a journal of an epoch that never began",
        lambda drop, number: drop.journal(number, 1, ["ghost"], epoch=7),
        {("L6", "JOURNAL_OF_UNKNOWN_EPOCH", None, None)},
    ),
    # L7
    Plant(
        "a status without a row",
        planting.settled(15, 1),
        {("L7", "SETTLED_WITHOUT_ROW", 15, None)},
    ),
    Plant(
        "ISSUED told of a claim under review",
        planting.settled(10, 1),
        {("L7", "SETTLED_CONTRADICTS", 10, user_of(10))},
    ),
    Plant(
        "CANCELLED told of an issuance",
        planting.settled(8, 3),
        {("L7", "SETTLED_CONTRADICTS", 8, user_of(8))},
    ),
    Plant(
        "ISSUED told of a cancelled position",
        planting.settled(11, 1),
        {("L7", "SETTLED_CONTRADICTS", 11, user_of(11))},
    ),
    Plant(
        "a claim under review that no operator sees",
        planting.not_reviewed,
        {("L7", "REVIEW_WITHOUT_DEAD_LETTER", 10, user_of(10))},
    ),
    Plant(
        "a quarantined claim without a row",
        planting.letter(14, "gone", "QUARANTINED"),
        {("L7", "DEAD_LETTER_WITHOUT_ROW", 14, "gone")},
    ),
    Plant(
        "a dead letter of an issued claim",
        planting.letter(8, user_of(8), "QUARANTINED"),
        {("L7", "DEAD_LETTER_UNDECIDED", 8, user_of(8))},
    ),
    Plant("a discarded claim still under review", planting.decided("DISCARDED"), UNDECIDED),
    Plant("a redriven claim still under review", planting.decided("REDRIVEN"), UNDECIDED),
    Plant(
        "a discarded claim that was issued",
        planting.letter(8, user_of(8), "DISCARDED"),
        {("L7", "DECISION_NOT_DONE", 8, user_of(8))},
    ),
    # L8
    Plant("a pause by nobody", planting.paused, {("L8", "STATE_WITHOUT_AUDIT", None, None)}),
    Plant(
        "a resumption by nobody",
        lambda drop, number: drop.audit(number, "pause"),
        {("L8", "STATE_WITHOUT_AUDIT", None, None)},
    ),
    Plant(
        "a discard by nobody",
        planting.decided_by_nobody(11, user_of(11)),
        {("L8", "DECISION_WITHOUT_AUDIT", 11, user_of(11))},
    ),
    Plant(
        "more stock by nobody",
        planting.campaign("stock = 25, position_limit = 27", "position_limit", 27),
        {STOCK},
    ),
    Plant(
        "a restock that did nothing",
        lambda drop, number: drop.audit(number, "restock", coupons=5),
        {STOCK},
    ),
]
