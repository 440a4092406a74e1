"""The hands that plant violations: each returns, or is, what breaks one law of one campaign."""

from collections.abc import Callable

from tests.integration.kept_drop import KeptDrop, user_of

CAMPAIGN = "UPDATE campaigns SET {} WHERE campaign_id = %s"
ROW = "UPDATE issuances SET {} WHERE campaign_id = %s AND position = {}"


def campaign(assignment: str, *gate: str | int) -> Callable[[KeptDrop, int], None]:
    """Change the campaign in the database, and fields of its gate."""

    def plant(drop: KeptDrop, campaign_id: int) -> None:
        if assignment:
            drop.sql(CAMPAIGN.format(assignment), campaign_id)
        if gate:
            drop.write_gate(campaign_id, *gate)

    return plant


def row(position: int, assignment: str) -> Callable[[KeptDrop, int], None]:
    """Change one row."""
    return lambda drop, number: drop.sql(ROW.format(assignment, position), number)


def settled(position: int, code: int) -> Callable[[KeptDrop, int], None]:
    """Write the settled bits of one position."""
    return lambda drop, number: drop.settle(number, position, code)


def listed(positions: str) -> Callable[[KeptDrop, int], None]:
    """List positions in one more outbox row."""
    return lambda drop, number: drop.list(number, positions)


def letter(position: int, user: str, state: str) -> Callable[[KeptDrop, int], None]:
    """Add one dead letter."""

    def plant(drop: KeptDrop, number: int) -> None:
        drop.set_aside(number, position, user, state=state)
        drop.audit_decisions(number)

    return plant


def decided_by_nobody(position: int, user: str) -> Callable[[KeptDrop, int], None]:
    """Add a discarded dead letter that no audit row names."""
    return lambda drop, number: drop.set_aside(number, position, user, state="DISCARDED")


def decided(state: str) -> Callable[[KeptDrop, int], None]:
    """Decide about the campaign's dead letter without its row."""
    statement = "UPDATE dead_letters SET state = %s WHERE campaign_id = %s"

    def plant(drop: KeptDrop, number: int) -> None:
        drop.sql(statement, state, number)
        drop.audit_decisions(number)

    return plant


def row_beyond_the_limit(drop: KeptDrop, number: int) -> None:
    """Row beyond the limit."""
    drop.add_row(number, 30, "beyond")


def row_twice(drop: KeptDrop, number: int) -> None:
    """Row twice."""
    drop.add_row(number, 9, user_of(9))


def unlist_the_last(drop: KeptDrop, number: int) -> None:
    """Unlist the last."""
    drop.sql(
        "UPDATE published SET positions = positions - '{[12,13)}' WHERE campaign_id = %s", number
    )


def published(positions: str) -> Callable[[KeptDrop, int], None]:
    """Let positions count as published."""
    return lambda drop, number: drop.note(number, positions)


def told(position: int, user: str) -> Callable[[KeptDrop, int], None]:
    """Publish an event."""
    return lambda drop, number: drop.tell(number, position, user)


def unreadable_event(drop: KeptDrop, number: int) -> None:
    """Publish what is no event."""
    drop.tell_bytes(b'{"campaign_id": "three"}')


def row_gone(drop: KeptDrop, number: int) -> None:
    """Row gone."""
    drop.sql("DELETE FROM issuances WHERE campaign_id = %s AND position = 9", number)


def in_wrong_bucket(drop: KeptDrop, number: int) -> None:
    """In wrong bucket."""
    drop.let_go(number, user_of(7))
    drop.hold(number, user_of(7), 7, bucket=drop.other_bucket(user_of(7)))


def in_two_buckets(drop: KeptDrop, number: int) -> None:
    """In two buckets."""
    drop.hold(number, user_of(7), 7, bucket=drop.other_bucket(user_of(7)))


def claim_on_the_log_only(drop: KeptDrop, number: int) -> None:
    """Claim on the log only."""
    drop.append_claims(number, 2, 13, ["lost"])
    drop.write_gate(number, "position_last", 13)


def claim_in_the_journal_only(drop: KeptDrop, number: int) -> None:
    """Claim in the journal only."""
    drop.journal(number, 13, ["lost"])
    drop.write_gate(number, "position_last", 13)


def claim_in_the_gate_only(drop: KeptDrop, number: int) -> None:
    """Claim in the gate only."""
    drop.hold(number, "lost", 13)
    drop.write_gate(number, "position_last", 13)


def claim_beyond_the_limit(drop: KeptDrop, number: int) -> None:
    """Claim beyond the limit."""
    drop.append_claims(number, 2, 40, ["far"])


def taken_in_the_gate(drop: KeptDrop, number: int) -> None:
    """Taken in the gate."""
    drop.let_go(number, user_of(8))
    drop.hold(number, "other", 8)


def not_reviewed(drop: KeptDrop, number: int) -> None:
    """Not reviewed."""
    drop.sql("DELETE FROM dead_letters WHERE campaign_id = %s", number)


def paused(drop: KeptDrop, number: int) -> None:
    """Paused."""
    campaign("state = 'PAUSED'", "state", "PAUSED")(drop, number)
