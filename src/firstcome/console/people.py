"""One person in every campaign: did he get a coupon, and why, or why not.

For the support desk. Rows and dead letters are from PostgreSQL, places from the gates; what a gate
cannot say now is told as not known. Refusals are kept nowhere, so of somebody without a place only
what the campaign was doing can be said.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from firstcome import postgres
from firstcome.errors import GateUnavailable
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.model import USER_ID_PATTERN, Campaign, CampaignId, CampaignState, UserId

_QUERIES = postgres.queries("console")
GATES_MAX = 100  # asked for his place: the newest
NEWEST_MAX = 5
TRACELESS_MAX = 10  # campaigns without a trace of him that are told: the newest


class Finding(StrEnum):
    """What is the matter with a person in a campaign; each has its sentence in messages/."""

    ISSUED = "ISSUED"
    UNDER_REVIEW = "UNDER_REVIEW"
    UNDER_WAY = "UNDER_WAY"  # a place in the gate, no row yet
    GIVEN_UP = "GIVEN_UP"  # his place was cancelled; he holds none
    SET_ASIDE = "SET_ASIDE"  # a dead letter without a row
    ABSENT = "ABSENT"  # no place, no row
    UNKNOWN = "UNKNOWN"  # no row, and the gate cannot be asked


TRACELESS = (Finding.ABSENT, Finding.UNKNOWN)


class Row(NamedTuple):
    """A row of sql/console.sql, rows_of."""

    campaign_id: int
    position: int
    status: str
    reason: str | None
    requested_at: datetime | None
    recorded_at: datetime
    epoch: int


class LetterOf(NamedTuple):
    """A dead letter that names the person."""

    dead_letter_id: int
    campaign_id: int | None
    state: str
    reason: str
    position: int | None
    created_at: datetime


class Holder(NamedTuple):
    """Who has a coupon."""

    position: int
    user_id: str
    recorded_at: datetime


class InCampaign(NamedTuple):
    """Where a person stands in one campaign."""

    campaign: Campaign
    finding: Finding
    place: int | None  # the gate's: 0: none; None: it cannot say
    row: Row | None  # the live one
    cancelled: list[Row]
    letters: list[LetterOf]
    told: bool  # whether the coupon's event was published
    sold_out_at: datetime | None

    @property
    def open_letter(self) -> LetterOf | None:
        """Return the letter that waits for an operator."""
        return next((each for each in self.letters if each.state == "QUARANTINED"), None)


class People:
    """Blocking; a session for each call, so any thread may call."""

    def __init__(
        self,
        connect: Callable[[], postgres.Connection],
        open_gate: Callable[[], GateSession],
    ) -> None:
        self._connect = connect
        self._open_gate = open_gate

    def look_up(self, user_id: UserId, campaigns: Sequence[Campaign]) -> list[InCampaign]:
        """Return where a user stands, in campaigns that have a trace of him first.

        Raises DatabaseUnavailable. The gates are asked before the database: a claim that is
        recorded in between is then seen in both.
        """
        newest_first = list(campaigns)[::-1]
        places = self._places(user_id, newest_first[:GATES_MAX])
        numbers: list[int] = [each.campaign_id for each in newest_first]
        parameters = {"user_id": user_id, "campaigns": numbers}
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            rows = [Row(*each) for each in connection.execute(_QUERIES["rows_of"], parameters)]
            letters = [
                LetterOf(*each) for each in connection.execute(_QUERIES["letters_of"], parameters)
            ]
            live = [each for each in rows if each.status != "CANCELLED"]
            pairs = {
                "campaigns": [each.campaign_id for each in live],
                "positions": [each.position for each in live],
            }
            told = {each[0] for each in connection.execute(_QUERIES["told"], pairs) if each[2]}
            found = _chosen(
                standing(each, places, rows, letters, told=each.campaign_id in told)
                for each in newest_first
            )
            shown = {"campaigns": [each.campaign.campaign_id for each in found]}
            ends = connection.execute(_QUERIES["last_coupons"], shown).fetchall()
        sold_out: dict[int, datetime] = dict(ends)
        return [
            each._replace(sold_out_at=sold_out.get(each.campaign.campaign_id)) for each in found
        ]

    def newest(self, campaign_id: CampaignId) -> list[Holder]:
        """Return who got the newest coupons of a campaign. Raises DatabaseUnavailable."""
        parameters = {"campaign_id": campaign_id, "rows": NEWEST_MAX}
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            return [Holder(*row) for row in connection.execute(_QUERIES["newest"], parameters)]

    def _places(
        self, user_id: UserId, campaigns: Sequence[Campaign]
    ) -> dict[CampaignId, int | None]:
        places: dict[CampaignId, int | None] = {}
        try:
            with self._open_gate() as session:
                for each in campaigns:
                    places[each.campaign_id] = _place(session, each, user_id)
        except GateUnavailable:
            return places
        return places


def standing(
    campaign: Campaign,
    places: Mapping[CampaignId, int | None],
    rows: Sequence[Row],
    letters: Sequence[LetterOf],
    *,
    told: bool,
) -> InCampaign:
    """Return where a person stands in one campaign, from everything that is known of him."""
    number = campaign.campaign_id
    own = [each for each in rows if each.campaign_id == number]
    row = next((each for each in own if each.status != "CANCELLED"), None)
    cancelled = [each for each in own if each.status == "CANCELLED"]
    aside = [each for each in letters if each.campaign_id == number]
    gated = campaign.engine.has_gate and campaign.state is not CampaignState.ARCHIVED
    place = places.get(number) if gated else 0
    waits = any(each.state == "QUARANTINED" for each in aside)
    finding = _finding(row, place, given_up=bool(cancelled), waits=waits)
    return InCampaign(campaign, finding, place, row, cancelled, aside, told, None)


def _chosen(found: Iterable[InCampaign]) -> list[InCampaign]:
    """Return every campaign with a trace, then the newest of those without."""
    every = list(found)
    traced = [each for each in every if each.finding not in TRACELESS]
    return traced + [each for each in every if each.finding in TRACELESS][:TRACELESS_MAX]


def is_possible(user_id: str) -> bool:
    """Whether anybody can have this user id."""
    return USER_ID_PATTERN.fullmatch(user_id) is not None


def _finding(row: Row | None, place: int | None, *, given_up: bool, waits: bool) -> Finding:
    if row is not None:
        return Finding(row.status)
    if waits:
        return Finding.SET_ASIDE
    if place:
        return Finding.UNDER_WAY
    if given_up:
        return Finding.GIVEN_UP
    return Finding.UNKNOWN if place is None else Finding.ABSENT


def _place(session: GateSession, campaign: Campaign, user_id: UserId) -> int | None:
    """Return the place in one gate, 0: none; None while it is shut or not there."""
    if not campaign.engine.has_gate or campaign.state is CampaignState.ARCHIVED:
        return 0
    try:
        return register.places(session, campaign.campaign_id, [user_id])[0]
    except GateUnavailable:
        return None
