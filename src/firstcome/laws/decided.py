"""The laws that the database alone can show: numbers, users, decisions.

All of it is read in one snapshot, so it is strict at any time, traffic or not. What a row says
by itself (its position, its time) is judged while rows are loaded.
"""

from firstcome.campaigns.rows import GATED
from firstcome.laws.findings import Findings
from firstcome.laws.rows import CANCELLED, ISSUED, NONE, UNDER_REVIEW, CampaignRows, Snapshot
from firstcome.settings import Settings

# What an operator's decision makes of a row that waited for it.
DECIDED = {"REDRIVEN": (ISSUED, CANCELLED), "DISCARDED": (CANCELLED,)}
LAST_ACTIONS = {
    "OPEN": (None, "campaign.resume"),
    "PAUSED": ("campaign.pause",),
    "CLOSED": ("campaign.close",),
    "ARCHIVED": ("campaign.archive",),
}


def check_numbers(rows: CampaignRows, findings: Findings) -> None:
    """L1: as many live rows as coupons, and a limit that says so."""
    facts, counts = rows.facts, rows.counts
    live = counts[ISSUED] + counts[UNDER_REVIEW]
    findings.checked["L1"] += counts.total()
    if live > facts.stock:
        more = f"{live} live issuances, {facts.stock} coupons."
        findings.broken("LIVE_ABOVE_STOCK", facts.campaign_id, detail=more)
    if facts.position_limit != facts.stock + counts[CANCELLED]:
        numbers = (
            f"Limit {facts.position_limit}, stock {facts.stock}, {counts[CANCELLED]} cancelled."
        )
        findings.broken("LIMIT_NOT_STOCK", facts.campaign_id, detail=numbers)


def check_users(snapshot: Snapshot, findings: Findings) -> None:
    """L2: no user with two live rows, whether or not the index is there."""
    for rows in snapshot.campaigns.values():
        findings.checked["L2"] += rows.counts[ISSUED] + rows.counts[UNDER_REVIEW]
    for campaign_id, user_id, count, first, last in snapshot.read("users_twice"):
        held = f"{count} live issuances, from position {first} to {last}."
        findings.broken("USER_TWICE", campaign_id, last, user_id, held)


def check_epochs(snapshot: Snapshot, findings: Findings) -> None:
    """L3: no row from beyond the end of its epoch, nor from an epoch that never was."""
    for campaign_id, position, user_id, epoch, last in snapshot.read(
        "rows_out_of_epoch", gated=[*GATED]
    ):
        if last is None:
            kind, detail = "ROW_OF_UNKNOWN_EPOCH", f"Epoch {epoch}."
        else:
            kind, detail = "FENCED_ROW", f"Epoch {epoch} ended at {last}."
        findings.broken(kind, campaign_id, position, user_id, detail)


def check_dead_letters(snapshot: Snapshot, findings: Findings) -> set[tuple[str, int, int]]:
    """L7: dead letters and rows UNDER_REVIEW agree. Returns the records set aside, by origin."""
    waiting: set[tuple[int, int]] = set()
    origins: set[tuple[str, int, int]] = set()
    for letter in snapshot.read("dead_letters"):
        state, campaign_id, position, user_id, topic, partition, offset, reason = letter
        findings.checked["L7"] += 1
        if topic is not None:
            origins.add((topic, partition, offset))
        rows = snapshot.campaigns.get(campaign_id)
        if rows is None or position is None or user_id is None:
            continue
        rows.set_aside.add((position, user_id))
        status = rows.status_at(position)
        if status != NONE and rows.mark_at(position) != hash(user_id):
            continue  # The position is another's: this claim can have no row.
        if state == "QUARANTINED":
            waiting.add((campaign_id, position))
        if status != NONE or state == "REDRIVEN" or reason == "REJECTED":
            _judge_letter(rows, position, user_id, state, status, findings)
        # Else it is one of a claim that no row is possible for.
    for rows in snapshot.campaigns.values():
        for position in positions_of(rows.statuses, UNDER_REVIEW):
            if (rows.campaign_id, position) not in waiting:
                user = snapshot.user_at(rows.campaign_id, position)
                findings.broken("REVIEW_WITHOUT_DEAD_LETTER", rows.campaign_id, position, user)
    return origins


def _judge_letter(
    rows: CampaignRows, position: int, user_id: str, state: str, status: int, findings: Findings
) -> None:
    at = (rows.campaign_id, position, user_id)
    if state in DECIDED:
        if status not in DECIDED[state]:
            findings.broken("DECISION_NOT_DONE", *at, f"The dead letter is {state}.")
    elif status in (ISSUED, CANCELLED):
        findings.broken("DEAD_LETTER_UNDECIDED", *at)
    elif status == NONE and 0 < position <= rows.facts.position_limit:
        findings.broken("DEAD_LETTER_WITHOUT_ROW", *at)


def check_audit(snapshot: Snapshot, settings: Settings, findings: Findings) -> None:
    """L8: who changed a campaign is named, and there is one way to sign in."""
    audited = {number: row for number, *row in snapshot.read("audited")}
    for campaign_id, rows in snapshot.campaigns.items():
        findings.checked["L8"] += 1
        facts = rows.facts
        action, created, added = audited.get(campaign_id, (None, None, 0))
        if action not in LAST_ACTIONS[facts.state]:
            said = f"It is {facts.state}; the last change on record is {action}."
            findings.broken("STATE_WITHOUT_AUDIT", campaign_id, detail=said)
        if created is not None and created + added != facts.stock:
            said = f"The stock is {facts.stock}; {created} and {added} more are on record."
            findings.broken("STOCK_WITHOUT_AUDIT", campaign_id, detail=said)
    for campaign_id, position, user_id, number, state in snapshot.read("decided_by_nobody"):
        said = f"Dead letter {number} is {state}."
        findings.broken("DECISION_WITHOUT_AUDIT", campaign_id, position, user_id, said)
    auth = settings.auth
    keyed = any((auth.secret, auth.key_file, auth.jwks_url))
    if keyed and (auth.mode == "gateway" or auth.gateway_networks):
        findings.broken("TWO_WAYS_TO_SIGN_IN", None)
    if settings.console.operator_key is None and not settings.console.operators:
        findings.note("L8", "no operator key is set: the console refuses every command")


def positions_of(statuses: bytearray | bytes, code: int) -> list[int]:
    """Return the positions that have a status, ascending."""
    found, at = [], statuses.find(code, 1)
    while at > 0:
        found.append(at)
        at = statuses.find(code, at + 1)
    return found
