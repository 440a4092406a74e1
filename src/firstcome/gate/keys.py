"""Every key in Redis: its name, type, content, memory and end. The TTL rules live here.

No key has a TTL: a running campaign needs them all, and each end is an act of the sweeper or of a
rebuild. The braces are the cluster hash tag: a campaign lives in one slot, so a script may touch
all its keys. docs/redis-keys.md is generated from KEYS.
"""

import re
import zlib
from typing import NamedTuple

from firstcome.model import CampaignId, UserId


class Key(NamedTuple):
    """One kind of key; `type` is Redis' word."""

    name: str
    type: str
    holds: str
    memory: str
    ends: str
    ttl_seconds: int | None = None  # None: it has none


KEYS = (
    Key(
        "fc:{id}:gate",
        "hash",
        "epoch, version, state, opens_at, closes_at (ms), buckets, position_last, position_limit",
        "some 200 bytes a campaign",
        "its campaign is archived",
    ),
    Key(
        "fc:{id}:<epoch>:users:<bucket>",
        "hash",
        "user -> position, or -(position * 2^24 + attempt)",
        "16 to 18 bytes a user who is in, as listpacks of about 50 (rebuild.bucket_users)",
        "the next epoch has opened, or its campaign is archived",
    ),
    Key(
        "fc:{id}:<epoch>:journal",
        "stream",
        "one entry per admitted batch, id <first position>-0: u users, a attempts (empty: none), "
        "t time in seconds",
        "the claims under way, some 20 bytes each; empty at rest",
        "entry by entry, each once all its positions are settled; the key as those of the users",
    ),
    Key(
        "fc:{id}:<epoch>:settled",
        "string",
        "two bits a position: an index into model.SETTLED",
        "a quarter of a byte a position",
        "the next epoch has opened, or its campaign is archived",
    ),
)


def key_of(name: str) -> Key | None:
    """Return what kind of key this is; None: none of ours."""
    return next((key for key, pattern in _PATTERNS if pattern.fullmatch(name)), None)


def _pattern(name: str) -> re.Pattern[str]:
    """Turn `fc:{id}:<epoch>:journal` into what matches `fc:{7}:3:journal`."""
    plain = re.escape(name).replace(re.escape("{id}"), r"\{[0-9]+\}")
    return re.compile(re.sub("<[a-z]+>", "[0-9]+", plain))


_PATTERNS = [(key, _pattern(key.name)) for key in KEYS]


def gate(campaign_id: CampaignId) -> str:
    """Return the key of a campaign's gate."""
    return f"fc:{{{campaign_id}}}:gate"


def journal(campaign_id: CampaignId, epoch: int) -> str:
    """Return the key of an epoch's journal."""
    return f"fc:{{{campaign_id}}}:{epoch}:journal"


def settled(campaign_id: CampaignId, epoch: int) -> str:
    """Return the key of an epoch's settled bits."""
    return f"fc:{{{campaign_id}}}:{epoch}:settled"


def users_prefix(campaign_id: CampaignId, epoch: int) -> str:
    """Return what a bucket's number is appended to."""
    return f"fc:{{{campaign_id}}}:{epoch}:users:"


def bucket_of(user_id: UserId, buckets: int) -> int:
    """Return the bucket that holds a user: 0 to buckets - 1."""
    return zlib.crc32(user_id.encode()) % buckets


def buckets_for(position_limit: int, bucket_users: int) -> int:
    """Return how many buckets keep about `bucket_users` users each, so that they stay listpacks."""
    return max(1, -(-position_limit // bucket_users))


def epoch_field(epoch: int, run_id: str) -> str:
    """Return the gate's epoch field: the counter and the server life that it is valid for."""
    return f"{epoch}-{run_id}"


def split_epoch_field(field: str) -> tuple[int, str] | None:
    """Return (counter, run_id), or None while the gate is shut."""
    counter, _, run_id = field.partition("-")
    return (int(counter), run_id) if counter.isdigit() else None
