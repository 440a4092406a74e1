"""Every kind of violation: the law that it breaks, and what it means for the drop.

The list lives once, here: results, the command's output and the test that plants one
violation of every kind all read it. A kind is a stable name that programs may rely on.
"""

from typing import NamedTuple

# law -> (what it promises, what its check covers)
LAWS = {
    "L1": (
        "A campaign never has more live issuances than its stock",
        "every row, the limits of database and gate",
    ),
    "L2": (
        "A user never has two live issuances of one campaign",
        "every row whether or not the unique index is there, every place of the gate",
    ),
    "L3": (
        "A request answered REQUESTED ends ISSUED, or UNDER_REVIEW until an operator decides",
        "every claim of the log (within its retention), the journals and the gate has its row",
    ),
    "L4": (
        "Every issuance is published",
        "every ISSUED row waits in the outbox or has its event on the topic (within its "
        "retention), and nothing else does",
    ),
    "L5": (
        "First come, first served",
        "positions are dense and their times of request rise, but for the clocks' difference; "
        "answers seen by clients are proven by the fault runs only",
    ),
    "L6": (
        "Nothing leaks",
        "issued + under review + under way + available = stock; the gate mirrors the rows",
    ),
    "L7": (
        "A status never moves backwards",
        "settled bits, rows and dead letters agree; past states are not stored and not seen",
    ),
    "L8": (
        "Nobody acts for another user, and only operators operate",
        "changed campaigns have their audit rows, one way of signing in is set; "
        "token checks are proven by tests only",
    ),
}


class Kind(NamedTuple):
    """A way to break a law."""

    law: str
    meaning: str


KINDS = {
    "LIVE_ABOVE_STOCK": Kind("L1", "More coupons are out than the campaign has."),
    "BEYOND_LIMIT": Kind("L1", "A row stands at a position that the campaign never offered."),
    "LIMIT_NOT_STOCK": Kind(
        "L1", "The limit is not stock plus cancelled rows: too many or too few can be admitted."
    ),
    "GATE_LIMIT_HIGHER": Kind("L1", "The gate admits more than the database allows."),
    "GATE_LAST_BEYOND_LIMIT": Kind("L1", "The gate has admitted more than its own limit."),
    "USER_TWICE": Kind("L2", "A user holds more than one live issuance of the campaign."),
    "POSITION_TWICE": Kind("L2", "Two rows share one position; the primary key is gone."),
    "USER_IN_WRONG_BUCKET": Kind("L2", "The gate cannot find the user and would admit him again."),
    "PLACE_HELD_TWICE": Kind("L2", "Two users of the gate hold one position; one has no coupon."),
    "FORGOTTEN": Kind("L3", "A claim was admitted and has no row: somebody may wait for ever."),
    "RECORDED_FOR_ANOTHER": Kind("L3", "The row at the claim's position belongs to another user."),
    "FENCED_ROW": Kind("L3", "A row of an ended epoch stands beyond that epoch's last position."),
    "ROW_OF_UNKNOWN_EPOCH": Kind("L3", "A row names an epoch that the campaign never had."),
    "RECORD_OF_UNKNOWN_EPOCH": Kind("L3", "The log holds claims of an epoch that never began."),
    "RECORD_OF_UNKNOWN_CAMPAIGN": Kind(
        "L3", "The log holds claims of a campaign that does not exist, and no dead letter says so."
    ),
    "UNREADABLE_RECORD": Kind("L3", "A record cannot be read, and no dead letter holds it."),
    "NOT_LISTED": Kind("L4", "A coupon was issued and will never be published."),
    "LISTED_TWICE": Kind("L4", "An issuance is listed for publication more than once."),
    "LISTED_NOT_ISSUED": Kind("L4", "Something will be published that was not issued."),
    "NOT_PUBLISHED": Kind("L4", "A coupon counts as published, and its event is not on the topic."),
    "PUBLISHED_NOT_ISSUED": Kind("L4", "Others were told of a coupon that was not issued."),
    "PUBLISHED_FOR_ANOTHER": Kind("L4", "Others were told that the coupon is another user's."),
    "UNREADABLE_EVENT": Kind("L4", "A record of the events' topic cannot be read by anybody."),
    "REQUESTED_OUT_OF_ORDER": Kind("L5", "A later request got the lower position."),
    "HOLE": Kind("L5", "A position at or below the last has no row, and nobody claims it."),
    "SUM_DIFFERS": Kind("L6", "Issued, under review, under way and available are not the stock."),
    "GATE_LIMIT_LOWER": Kind("L6", "The gate keeps back coupons that the database offers."),
    "MIRROR_BEHIND": Kind("L6", "The gate has not learnt of a change of the campaign."),
    "MIRROR_AHEAD": Kind("L6", "The gate follows a version that the database never had."),
    "MIRROR_DIFFERS": Kind("L6", "Gate and database name the same version and disagree."),
    "ROW_BEYOND_LAST": Kind("L6", "A row stands where the gate will admit again."),
    "PLACE_BEYOND_LAST": Kind("L6", "A user holds a place that the gate has yet to give."),
    "PLACE_OF_ANOTHER": Kind("L6", "The gate tells a user that he holds another's position."),
    "NOT_IN_GATE": Kind(
        "L6", "A user with a coupon is unknown to the gate, which would let him in."
    ),
    "NOT_RELEASED": Kind("L6", "The place was cancelled, but its user cannot claim again."),
    "SETTLED_BEHIND": Kind("L6", "The gate still tells an older status than the row's."),
    "JOURNAL_OF_UNKNOWN_EPOCH": Kind("L6", "A journal is left of an epoch that never began."),
    "SETTLED_WITHOUT_ROW": Kind("L7", "The gate tells a final status that no row holds."),
    "SETTLED_CONTRADICTS": Kind("L7", "The gate tells another final status than the row."),
    "REVIEW_WITHOUT_DEAD_LETTER": Kind("L7", "No operator sees this claim; it waits for ever."),
    "DEAD_LETTER_WITHOUT_ROW": Kind("L7", "A quarantined claim has no row that waits for it."),
    "DEAD_LETTER_UNDECIDED": Kind("L7", "The dead letter is open, but its row is final."),
    "DECISION_NOT_DONE": Kind("L7", "An operator decided, and the row does not show it."),
    "STATE_WITHOUT_AUDIT": Kind("L8", "The campaign's state was changed and nobody is named."),
    "STOCK_WITHOUT_AUDIT": Kind("L8", "The campaign's stock was changed and nobody is named."),
    "DECISION_WITHOUT_AUDIT": Kind("L8", "A dead letter was decided and nobody is named."),
    "TWO_WAYS_TO_SIGN_IN": Kind("L8", "Tokens and a trusted header are both accepted."),
}
