"""A campaign's gate as the sweeper and the rebuild see it: read, mirror, shut, load, switch.

The register is everything that the gate knows of one campaign. Each act here is
conditional (on an epoch, a version or a token), so that repeating or overtaking
one does no harm.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from firstcome.errors import GateUnavailable
from firstcome.gate import keys
from firstcome.gate.connection import GateConnection
from firstcome.gate.session import Argument, GateSession
from firstcome.model import ATTEMPT_MAX, SETTLED, Campaign, CampaignId, Status, UserId

SHUT = "shut:"
LOAD_COMMANDS = 500  # of one pipeline
UNLINK_KEYS = 500


class Register(NamedTuple):
    """What the gate's hash says. `epoch` is None while it is shut, absent or of an earlier life."""

    epoch: int | None
    field: str
    version: int
    buckets: int
    position_last: int
    position_limit: int


def is_stale(gate: Register, campaign: Campaign, bucket_users: int) -> bool:
    """Whether a gate has to be made anew: of another life or epoch, or outgrown by a restock."""
    outgrown = campaign.position_limit > 2 * gate.buckets * bucket_users
    return gate.epoch != campaign.epoch or (gate.buckets > 0 and outgrown)


class Decided(NamedTuple):
    """A row that was decided after its claim: cancelled, or issued by a redrive.

    The user holds `held_position` now, with that attempt; 0: none, so that he may ask again.
    """

    position: int
    user_id: UserId | None
    held_position: int
    attempt: int = 0
    settled: int = SETTLED.index(Status.CANCELLED)


FIELDS = ("epoch", "version", "buckets", "position_last", "position_limit")


def read(session: GateSession, campaign_id: CampaignId) -> Register:
    """Return what a gate says, judged by this session's run_id. Raises GateUnavailable."""
    return read_all(session, [campaign_id])[campaign_id]


def read_all(
    session: GateSession, campaign_ids: Sequence[CampaignId]
) -> dict[CampaignId, Register]:
    """Return what many gates say, in one round trip. Raises GateUnavailable."""
    replies = session.pipeline([("HMGET", keys.gate(each), *FIELDS) for each in campaign_ids])
    return {
        campaign_id: _register(session.run_id, reply)
        for campaign_id, reply in zip(campaign_ids, replies, strict=True)
    }


async def read_hot(connection: GateConnection, campaign_id: CampaignId) -> Register:
    """Return what a gate says, over an api process's hot connection. Raises GateUnavailable."""
    reply = connection.asked(("HMGET", keys.gate(campaign_id), *FIELDS))
    return _register(connection.run_id or "", await reply)


def _register(run_id: str, reply: object) -> Register:
    if not isinstance(reply, list):
        raise GateUnavailable(f"a gate cannot be read: {reply}")
    field = (reply[0] or b"").decode()
    split = keys.split_epoch_field(field)
    epoch = split[0] if split and split[1] == run_id else None
    return Register(epoch, field, *(int(value or 0) for value in reply[1:]))


def mirror(
    session: GateSession,
    campaign: Campaign,
    buckets: int,
    decided: Iterable[Decided],
) -> int:
    """Bring the gate to the campaign's version; release the users of cancelled rows.

    `decided` must hold every row decided above the gate's version, read in one snapshot with
    the campaign. Returns the gate's version afterwards, -1 when it is shut or of another epoch.
    """
    reply = session.script("mirror", *_mirroring(campaign, buckets, decided))
    assert isinstance(reply, int)  # noqa: S101 - mirror.lua's form
    return reply


async def mirror_hot(
    connection: GateConnection, campaign: Campaign, buckets: int, decided: Iterable[Decided]
) -> bool:
    """Mirror over an api process's hot connection; False: shut, of another epoch, or unknown."""
    reply = await connection.asked_script("mirror", *_mirroring(campaign, buckets, decided))
    return isinstance(reply, int) and reply >= 0


def _mirroring(
    campaign: Campaign, buckets: int, decided: Iterable[Decided]
) -> tuple[list[str], list[str | int]]:
    """Return mirror.lua's keys and arguments."""
    campaign_id, epoch = campaign.campaign_id, campaign.epoch
    names = [keys.gate(campaign_id), keys.settled(campaign_id, epoch)]
    args: list[str | int] = [epoch, campaign.version, *_decided(campaign)]
    for row in decided:
        user_id = row.user_id or UserId("")
        bucket = keys.bucket_of(user_id, buckets)
        names.append(f"{keys.users_prefix(campaign_id, epoch)}{bucket}")
        place = packed(row.held_position, row.attempt)
        args += [row.position, user_id, len(names), place, row.settled]
    return names, args


def places(session: GateSession, campaign_id: CampaignId, users: Sequence[UserId]) -> list[int]:
    """Return the position that each user holds in the gate; 0: none. Raises GateUnavailable.

    Unavailable is also a gate that is shut or of an earlier life: what it holds proves nothing.
    """
    gate = read(session, campaign_id)
    if gate.epoch is None:
        raise GateUnavailable(
            f"the gate of campaign {campaign_id} is shut: nothing was changed, try again when its "
            "rebuild is done (`firstcome rebuild` shows the progress)",
            certain=True,
        )
    prefix = keys.users_prefix(campaign_id, gate.epoch)
    replies = session.pipeline(
        [("HGET", f"{prefix}{keys.bucket_of(user, gate.buckets)}", user) for user in users]
    )
    _must(replies)
    held = [int(reply) if isinstance(reply, bytes) else 0 for reply in replies]
    return [-value // (ATTEMPT_MAX + 1) if value < 0 else value for value in held]


def packed(position: int, attempt: int) -> int:
    """Return a place as the gate keeps it: one integer for position and attempt."""
    return -(position * (ATTEMPT_MAX + 1) + attempt) if attempt else position


def shut(session: GateSession, campaign_id: CampaignId, token: str) -> None:
    """Stop all admissions: no caller's epoch equals a token."""
    session.call("HSET", keys.gate(campaign_id), "epoch", token)


def switch(
    session: GateSession,
    campaign: Campaign,
    token: str,
    *,
    buckets: int,
    position_last: int,
) -> bool:
    """Open the loaded epoch, for this life of the server; False when another rebuild took over."""
    state, opens_at, closes_at, position_limit = _decided(campaign)
    fields: dict[str, Argument] = {
        "epoch": keys.epoch_field(campaign.epoch, session.run_id),
        "version": campaign.version,
        "state": state,
        "opens_at": opens_at,
        "closes_at": closes_at,
        "buckets": buckets,
        "position_last": position_last,
        "position_limit": position_limit,
    }
    flat = [part for field in fields.items() for part in field]
    return session.script("switch", [keys.gate(campaign.campaign_id)], [token, *flat]) == 1


class Loader:
    """Writes the users and settled bits of a new epoch; nobody reads them before the switch."""

    def __init__(
        self, session: GateSession, campaign_id: CampaignId, epoch: int, buckets: int
    ) -> None:
        self._session = session
        self._prefix = keys.users_prefix(campaign_id, epoch)
        self._settled_key = keys.settled(campaign_id, epoch)
        self._buckets = buckets
        self._users: dict[int, list[Argument]] = {}
        self._settled = bytearray()

    def add(self, position: int, user_id: UserId | None, attempt: int, settled: int) -> None:
        """Take one row: `user_id` is None where the row is cancelled."""
        byte, shift = position // 4, 2 * (3 - position % 4)
        if byte >= len(self._settled):
            self._settled.extend(bytes(byte + 1 - len(self._settled)))
        self._settled[byte] |= settled << shift
        if user_id is not None:
            bucket = keys.bucket_of(user_id, self._buckets)
            self._users.setdefault(bucket, []).extend((user_id, packed(position, attempt)))

    def flush(self) -> None:
        """Write the users taken so far."""
        commands = [
            ("HSET", f"{self._prefix}{bucket}", *entries) for bucket, entries in self._users.items()
        ]
        self._users.clear()
        for start in range(0, len(commands), LOAD_COMMANDS):
            _must(self._session.pipeline(commands[start : start + LOAD_COMMANDS]))

    def finish(self) -> None:
        """Write what is left, and the settled bits."""
        self.flush()
        if self._settled:
            self._session.call("SET", self._settled_key, bytes(self._settled))


def forget(session: GateSession, campaign_id: CampaignId) -> None:
    """Remove the gate of an archived campaign: no script does anything for it from now on."""
    session.call("UNLINK", keys.gate(campaign_id))


def unlink(session: GateSession, campaign_id: CampaignId, epoch: int, buckets: int) -> None:
    """Remove an ended epoch's keys, without holding Redis up."""
    prefix = keys.users_prefix(campaign_id, epoch)
    names = [keys.journal(campaign_id, epoch), keys.settled(campaign_id, epoch)]
    names += [f"{prefix}{bucket}" for bucket in range(buckets)]
    for start in range(0, len(names), UNLINK_KEYS):
        session.call("UNLINK", *names[start : start + UNLINK_KEYS])


def _decided(campaign: Campaign) -> tuple[str, str | int, str | int, int]:
    """Return state, opens_at, closes_at (ms since 1970; empty: no bound), position_limit."""
    return (
        campaign.state.value,
        _milliseconds(campaign.opens_at),
        _milliseconds(campaign.closes_at),
        campaign.position_limit,
    )


def _milliseconds(moment: datetime | None) -> str | int:
    return "" if moment is None else round(moment.timestamp() * 1000)


def _must(replies: list[object]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise GateUnavailable(f"Redis refused a gate's command: {reply}") from reply
