"""Every topic: its name, key, content, retention.

<prefix>.issuance-requested.v1      no key: order comes from positions, not offsets
    admitted batches and heartbeats, 7 days
<prefix>.issuance-dead-letters.v1   no key
    quarantined records with their origin, 30 days
"""

from firstcome.settings import KafkaSettings

DAY_MS = 86_400_000
RETENTION_MS = {"issuance-requested.v1": 7 * DAY_MS, "issuance-dead-letters.v1": 30 * DAY_MS}


def issuance_requested(settings: KafkaSettings) -> str:
    """Return the topic of admitted batches."""
    return f"{settings.topic_prefix}.issuance-requested.v1"


def dead_letters(settings: KafkaSettings) -> str:
    """Return the topic of quarantined records."""
    return f"{settings.topic_prefix}.issuance-dead-letters.v1"


def retention_ms(settings: KafkaSettings) -> dict[str, int]:
    """Return every topic with its retention."""
    return {f"{settings.topic_prefix}.{name}": ms for name, ms in RETENTION_MS.items()}
