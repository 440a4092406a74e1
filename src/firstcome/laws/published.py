"""L4: every issuance is told to others: it waits in the outbox, or its event is on the topic.

The outbox lists what waits, `published` what brokers have acknowledged; both are read in the
snapshot. The topic is read after it, so that whatever the snapshot calls published is there.
"""

from collections.abc import Iterator

from firstcome.errors import BadRecord
from firstcome.eventlog import issued, reader, topics
from firstcome.eventlog.issued import CouponIssued
from firstcome.laws.findings import Findings
from firstcome.laws.rows import ISSUED, CampaignRows, Snapshot
from firstcome.settings import KafkaSettings

Marked = dict[int, bytearray]  # campaign -> a byte a position


def check_published(
    snapshot: Snapshot, kafka: KafkaSettings, findings: Findings, *, all_campaigns: bool
) -> None:
    """Check outbox, `published` and topic against the rows. Raises LogUnavailable.

    Without `all_campaigns` events of campaigns outside the snapshot say nothing.
    """
    waiting = _marks(snapshot, "outbox_ranges", findings, twice=True)
    published = _marks(snapshot, "published_ranges", findings)
    for campaign_id, rows in snapshot.campaigns.items():
        findings.checked["L4"] += rows.counts[ISSUED]
        _compare_listed(snapshot, rows, waiting[campaign_id], published[campaign_id], findings)
    if any(map(any, published.values())):
        told = _told(snapshot, kafka, findings, all_campaigns=all_campaigns)
        if reader.is_whole(kafka, topics.coupon_issued(kafka)):
            _compare_told(snapshot, published, told, findings)
        else:
            findings.note("L4", "the oldest events have left the topic: that all came is not known")
    waits = sum(len(each) - each.count(0) for each in waiting.values())
    if waits:
        findings.note("L4", f"{waits:,} issued coupons wait for a relay to publish them")


def _marks(
    snapshot: Snapshot, query: str, findings: Findings, *, twice: bool = False
) -> dict[int, bytearray]:
    """Return how often each position is listed; names what lies beyond every row."""
    listed = {number: bytearray(rows.size) for number, rows in snapshot.campaigns.items()}
    for campaign_id, first, end in snapshot.read(query):
        positions = listed.get(campaign_id, bytearray())
        within = min(end, len(positions))
        if end > within:
            beyond = f"Listed are {first} to {end - 1}."
            findings.broken("LISTED_NOT_ISSUED", campaign_id, max(first, within), detail=beyond)
        if not (twice and any(positions[first:within])):
            positions[first:within] = b"\1" * max(0, within - first)
            continue
        for position in range(first, within):
            positions[position] = min(2, positions[position] + 1)
    return listed


def _compare_listed(
    snapshot: Snapshot,
    rows: CampaignRows,
    waiting: bytearray,
    published: bytearray,
    findings: Findings,
) -> None:
    wanted = rows.marked(frozenset({ISSUED}))
    if bytes(map(max, waiting, published)) == wanted:
        return
    for position, is_issued in enumerate(wanted):
        times = max(waiting[position], published[position])
        if times == is_issued:
            continue
        kind = "LISTED_NOT_ISSUED"
        if is_issued:
            kind = "LISTED_TWICE" if times else "NOT_LISTED"
        user = snapshot.user_at(rows.campaign_id, position)
        findings.broken(kind, rows.campaign_id, position, user)


def _told(
    snapshot: Snapshot, kafka: KafkaSettings, findings: Findings, *, all_campaigns: bool
) -> Marked:
    """Read the topic; return which positions it tells of, and name what has no row."""
    told = {number: bytearray(rows.size) for number, rows in snapshot.campaigns.items()}
    for event in _events(kafka, findings):
        rows = snapshot.campaigns.get(event.campaign_id)
        at = (event.campaign_id, event.position, event.user_id)
        if rows is None:
            if all_campaigns:
                findings.broken("PUBLISHED_NOT_ISSUED", *at)
        elif rows.status_at(event.position) != ISSUED:
            findings.broken("PUBLISHED_NOT_ISSUED", *at)
        elif rows.mark_at(event.position) != hash(event.user_id):
            findings.broken("PUBLISHED_FOR_ANOTHER", *at)
        else:
            told[event.campaign_id][event.position] = 1
    return told


def _events(kafka: KafkaSettings, findings: Findings) -> Iterator[CouponIssued]:
    topic = topics.coupon_issued(kafka)
    for record in reader.read_all(kafka, topic):
        try:
            yield issued.decode(record.value)
        except BadRecord as error:
            where = f"Record {record.partition}/{record.offset} of {topic}. {error}"
            findings.broken("UNREADABLE_EVENT", None, detail=where)


def _compare_told(snapshot: Snapshot, published: Marked, told: Marked, findings: Findings) -> None:
    for campaign_id, rows in snapshot.campaigns.items():
        if told[campaign_id] == published[campaign_id]:
            continue
        for position, was_told in enumerate(told[campaign_id]):
            if was_told or not published[campaign_id][position]:
                continue
            if rows.status_at(position) == ISSUED:
                user = snapshot.user_at(campaign_id, position)
                findings.broken("NOT_PUBLISHED", campaign_id, position, user)
