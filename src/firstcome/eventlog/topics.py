"""Every topic: its name, key, content, retention.

<prefix>.issuance-requested.v1      no key: order comes from positions, not offsets
    admitted batches and heartbeats, 7 days
<prefix>.issuance-dead-letters.v1   dead_letter_id
    what was set aside, with reason and origin, a year; repeats carry the same key
<prefix>.coupon-issued.v1           user_id: events of a user keep their order
    every issued coupon, for other systems, 30 days: see docs/events.md
<prefix>.relay-heartbeats.v1        no meaning
    what a relay in Kafka Connect sends while nothing is issued, a day
"""

from firstcome.settings import KafkaSettings

DAY_MS = 86_400_000
RETENTION_MS = {
    "issuance-requested.v1": 7 * DAY_MS,
    "issuance-dead-letters.v1": 365 * DAY_MS,
    "coupon-issued.v1": 30 * DAY_MS,
    "relay-heartbeats.v1": DAY_MS,
}


def issuance_requested(settings: KafkaSettings) -> str:
    """Return the topic of admitted batches."""
    return f"{settings.topic_prefix}.issuance-requested.v1"


def dead_letters(settings: KafkaSettings) -> str:
    """Return the topic of dead letters."""
    return f"{settings.topic_prefix}.issuance-dead-letters.v1"


def coupon_issued(settings: KafkaSettings) -> str:
    """Return the topic of events for other systems."""
    return f"{settings.topic_prefix}.coupon-issued.v1"


def retention_ms(settings: KafkaSettings) -> dict[str, int]:
    """Return every topic with its retention."""
    return {f"{settings.topic_prefix}.{name}": ms for name, ms in RETENTION_MS.items()}
