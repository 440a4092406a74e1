"""Every key of the gate: its name, type, content and end. The TTL rules live here.

fc:{id}:gate                    hash      epoch, version, state, opens_at, closes_at (ms), buckets,
                                          position_last, position_limit
    ends with the archival of the campaign
fc:{id}:<epoch>:users:<bucket>  hash      user -> position, or -(position * 2^24 + attempt)
    ends with the epoch, and with the archival of the campaign
fc:{id}:<epoch>:journal         stream    one entry per admitted batch, id <first position>-0:
                                          u users, a attempts (empty: none), t time in seconds
    ends entry by entry, each once all its positions are settled
fc:{id}:<epoch>:settled         bitfield  two bits a position: an index into model.SETTLED
    ends with the epoch, and with the archival of the campaign

No key has a TTL: a running campaign needs them all, and each end above is an act. The braces are
the cluster hash tag: a campaign lives in one slot, so a script may touch all its keys.
"""

import zlib

from firstcome.model import CampaignId, UserId


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
