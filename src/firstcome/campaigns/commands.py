"""Operators' commands on campaigns.

Every change raises the campaign's version and leaves an audit row in the same
transaction, so the gate can miss nothing and nobody changes anything unseen.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

from firstcome import postgres
from firstcome.campaigns.rows import QUERIES, campaign_of, found, listed
from firstcome.errors import Refused
from firstcome.model import (
    POSITION_MAX,
    STOCK_MAX,
    Campaign,
    CampaignId,
    CampaignState,
    Engine,
    Position,
    UserId,
)

ARCHIVAL = postgres.queries("archival")
NAME_MAX = 200
# Beyond them psycopg could not read a campaign any more, and with it no list of campaigns.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
WINNERS_ROWS = 5000  # read at a time: some milliseconds, one short transaction


class Keep(Enum):
    """Stands for "leave it as it is", where None means "no bound"."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP
Time = datetime | None | Literal[Keep.KEEP]


class Counts(NamedTuple):
    """Rows of a campaign by status, and its highest position that has a row (0: none)."""

    issued: int
    under_review: int
    cancelled: int
    position_last: int


class Winner(NamedTuple):
    """Who holds a coupon, since when; `code` is empty where no key for codes is set."""

    position: Position
    user_id: UserId
    code: str
    requested_at: datetime | None
    issued_at: datetime


class Campaigns:
    """Operators' commands. Blocking; a session for each call, so any thread may call.

    All raise DatabaseUnavailable; all that name a campaign raise CampaignNotFound; those
    that change one raise Refused when its state forbids it. Asking for what already holds
    changes nothing and returns the campaign.
    """

    def __init__(
        self,
        connect: Callable[[], postgres.Connection],
        code_of: Callable[[CampaignId, Position], str] = lambda campaign_id, position: "",
    ) -> None:
        self._connect = connect
        self._code_of = code_of

    def create(
        self,
        *,
        name: str,
        stock: int,
        opens_at: datetime | None = None,
        closes_at: datetime | None = None,
        engine: Engine = Engine.KAFKA,
        actor: str,
    ) -> Campaign:
        """Make a campaign, open from `opens_at` (None: at once) once its gate is loaded."""
        _check_name(name)
        _check_times(opens_at, closes_at)
        if not 1 <= stock <= STOCK_MAX:
            raise Refused(f"a stock of {stock} is not possible: choose 1 to {STOCK_MAX}")
        values = {
            "name": name,
            "engine": engine,
            "stock": stock,
            "opens_at": opens_at,
            "closes_at": closes_at,
        }
        with self._transaction() as connection:
            row = connection.execute(QUERIES["create"], values).fetchone()
            campaign = campaign_of(row or ())
            _note(connection, actor, "create", campaign, values)
        return campaign

    def list(self) -> list[Campaign]:
        """Return all campaigns that this version can read, oldest first."""
        with self._transaction() as connection:
            return listed(connection.execute(QUERIES["list"])).campaigns

    def show(self, campaign_id: CampaignId) -> Campaign:
        """Return one campaign."""
        with self._transaction() as connection:
            return found(connection, "show", campaign_id)

    def counts(self, campaign_id: CampaignId) -> Counts:
        """Count a campaign's rows; reads all of them."""
        with self._transaction() as connection:
            row = connection.execute(QUERIES["counts"], {"campaign_id": campaign_id}).fetchone()
        return Counts(*(row or (0, 0, 0, 0)))

    def edit(
        self,
        campaign_id: CampaignId,
        *,
        actor: str,
        name: str | Literal[Keep.KEEP] = KEEP,
        opens_at: Time = KEEP,
        closes_at: Time = KEEP,
    ) -> Campaign:
        """Change the name or the times; None takes a bound away. Refused once closed."""
        asked = {"name": name, "opens_at": opens_at, "closes_at": closes_at}
        wanted: dict[str, Any] = {
            field: value for field, value in asked.items() if value is not KEEP
        }
        with self._transaction() as connection:
            campaign = _alive(found(connection, "lock", campaign_id), "edit")
            changed = campaign._replace(**wanted)
            if changed == campaign:
                return campaign
            _check_name(changed.name)
            _check_times(changed.opens_at, changed.closes_at)
            return _change(connection, changed, actor, "edit", wanted)

    def pause(self, campaign_id: CampaignId, actor: str) -> Campaign:
        """Admit nobody until it is resumed; claims already admitted are issued."""
        return self._set_state(campaign_id, CampaignState.PAUSED, actor, "pause")

    def resume(self, campaign_id: CampaignId, actor: str) -> Campaign:
        """Admit again."""
        return self._set_state(campaign_id, CampaignState.OPEN, actor, "resume")

    def close(self, campaign_id: CampaignId, actor: str) -> Campaign:
        """Admit nobody any more, for good; claims already admitted are issued."""
        return self._set_state(campaign_id, CampaignState.CLOSED, actor, "close")

    def archive(self, seen: Campaign, actor: str, *, position_last: int) -> Campaign:
        """Put a closed campaign away: its epoch ends, its rows answer from now on.

        `seen`: as it was when its gate, closed by then, had given `position_last` positions.
        Refused while one of them has no row, or a dead letter waits for its decision.
        """
        campaign_id = seen.campaign_id
        with self._transaction() as connection:
            campaign = found(connection, "lock", campaign_id)
            if campaign.state is CampaignState.ARCHIVED:
                return campaign
            closed = {campaign.state, seen.state} == {CampaignState.CLOSED}
            if not closed or campaign.epoch != seen.epoch:
                raise Refused(
                    f"campaign {campaign_id} is {campaign.state}, or its gate has just been made "
                    f"anew: nothing was changed. `firstcome campaign close {campaign_id}`, then "
                    "try again"
                )
            values = {"campaign_id": campaign_id, "epoch": campaign.epoch}
            values |= {"position_last": position_last}
            rows, letters = connection.execute(ARCHIVAL["open_ends"], values).fetchone() or (0, 0)
            _check_ended(campaign_id, position_last - rows, letters)
            connection.execute(ARCHIVAL["end_epoch"], values)
            archived = campaign._replace(state=CampaignState.ARCHIVED)
            return _change(connection, archived, actor, "archive", {"from": campaign.state})

    def restock(self, campaign_id: CampaignId, coupons: int, actor: str) -> Campaign:
        """Add to the stock. Refused once closed. Not idempotent: it adds each time."""
        with self._transaction() as connection:
            campaign = _alive(found(connection, "lock", campaign_id), "restock")
            most = min(STOCK_MAX - campaign.stock, POSITION_MAX - campaign.position_limit)
            if not 1 <= coupons <= most:
                raise Refused(
                    f"{coupons} coupons cannot be added to campaign {campaign_id}: "
                    + (f"choose 1 to {most}" if most > 0 else "its stock is as large as can be")
                )
            detail = {"coupons": coupons}
            return _change(connection, campaign, actor, "restock", detail, restocked=coupons)

    def winners(self, campaign_id: CampaignId) -> Iterator[Winner]:
        """Yield who holds a coupon, by position, in bounded memory.

        Read piece by piece in short transactions: an export of hours holds nothing up, and
        what is issued meanwhile further on is included.
        """
        after = 0
        while True:
            with self._transaction() as connection:
                rows = connection.execute(
                    QUERIES["winners"],
                    {"campaign_id": campaign_id, "after": after, "rows": WINNERS_ROWS},
                ).fetchall()
            for position, user_id, requested_at, issued_at in rows:
                code = self._code_of(campaign_id, position)
                yield Winner(position, user_id, code, requested_at, issued_at)
            if len(rows) < WINNERS_ROWS:
                return
            after = rows[-1][0]

    def code(self, campaign_id: CampaignId, position: Position) -> str:
        """Return the code of a coupon; empty where no key for codes is set."""
        return self._code_of(campaign_id, position)

    def _set_state(
        self, campaign_id: CampaignId, state: CampaignState, actor: str, action: str
    ) -> Campaign:
        with self._transaction() as connection:
            campaign = found(connection, "lock", campaign_id)
            if campaign.state is state:
                return campaign
            _alive(campaign, action)
            detail = {"from": campaign.state}
            return _change(connection, campaign._replace(state=state), actor, action, detail)

    @contextmanager
    def _transaction(self) -> Iterator[postgres.Connection]:
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            yield connection


def _alive(campaign: Campaign, action: str) -> Campaign:
    if campaign.state in (CampaignState.CLOSED, CampaignState.ARCHIVED):
        raise Refused(
            f"campaign {campaign.campaign_id} is {campaign.state}, so {action} is not possible and "
            "nothing was changed: create a new campaign"
        )
    return campaign


def _check_ended(campaign_id: CampaignId, under_way: int, letters: int) -> None:
    if under_way > 0:
        raise Refused(
            f"{under_way} claims of campaign {campaign_id} are under way: nothing was changed; try "
            "again when recorders or the sweeper have recorded them, in a minute at most"
        )
    if letters > 0:
        raise Refused(
            f"{letters} dead letters of campaign {campaign_id} wait for a decision: nothing was "
            f"changed; `firstcome dead-letters list --campaign {campaign_id}` shows them"
        )


def is_possible_time(time: datetime) -> bool:
    """Whether a campaign may open or close at this moment."""
    return EARLIEST <= time < LATEST


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= NAME_MAX or "\0" in name:
        raise Refused(f"a campaign's name has 1 to {NAME_MAX} characters: choose another")


def _check_times(opens_at: datetime | None, closes_at: datetime | None) -> None:
    for time in (opens_at, closes_at):
        if time is not None and time.tzinfo is None:
            raise Refused(f"the time {time.isoformat()} has no zone: add one, such as Z or +09:00")
        if time is not None and not is_possible_time(time):
            raise Refused(f"the time {time.isoformat()} is not in the years 2000 to 2999")
    if opens_at is not None and closes_at is not None and opens_at >= closes_at:
        raise Refused("a campaign must open before it closes: correct opens_at or closes_at")


def _change(
    connection: postgres.Connection,
    campaign: Campaign,
    actor: str,
    action: str,
    detail: dict[str, Any],
    *,
    restocked: int = 0,
) -> Campaign:
    parameters = campaign._asdict() | {"restocked": restocked}
    row = connection.execute(QUERIES["change"], parameters).fetchone()
    changed = campaign_of(row or ())
    _note(connection, actor, action, changed, detail)
    return changed


def _note(
    connection: postgres.Connection,
    actor: str,
    action: str,
    campaign: Campaign,
    detail: dict[str, Any],
) -> None:
    parameters = {
        "actor": actor,
        "action": f"campaign.{action}",
        "campaign_id": campaign.campaign_id,
        "detail": json.dumps(detail | {"version": campaign.version}, default=str),
    }
    connection.execute(QUERIES["note"], parameters)
