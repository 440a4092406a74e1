"""The console without engines: what it reads stands here as values, what it changes is noted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from time import monotonic, sleep
from typing import Any

import msgspec
from litestar.testing import TestClient
from pydantic import SecretStr

from firstcome.campaigns import Campaigns, Winner
from firstcome.console.app import ConsoleParts, create_app
from firstcome.console.archive import Archive
from firstcome.console.audit import AuditTrail, Deed
from firstcome.console.live import Live
from firstcome.console.overview import (
    CampaignOverview,
    GateState,
    GateView,
    OutboxView,
    Overview,
    OverviewReport,
)
from firstcome.console.people import Holder, InCampaign, LetterOf, People, Row, standing
from firstcome.console.rebuilds import Rebuilds
from firstcome.console.sessions import FailedSignIns
from firstcome.console.told import Answers, Told, ToldProcess
from firstcome.errors import (
    CampaignNotFound,
    DatabaseUnavailable,
    DeadLetterNotFound,
    GateUnavailable,
)
from firstcome.gate.session import GateSession
from firstcome.issuance.dead_letters import Asked, DeadLetters
from firstcome.issuance.decision import Decision, Outcome
from firstcome.issuance.letter import Letter, State
from firstcome.issuance.quarantine import Reason
from firstcome.model import Campaign, CampaignId, CampaignState, Engine, Position, UserId
from firstcome.settings import ConsoleSettings, OperatorKey

SHARED = "the shared operator key of this console"
KEYS = {
    role: f"the key of the {role} alone, long enough" for role in ("viewer", "operator", "admin")
}
AT = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)
PAGES = ("/drops", "/drops/1", "/campaigns", "/dead-letters", "/dead-letters/7", "/person?user=ann")
MORE_PAGES = ("/person", "/health", "/reports")
BROWSER = {"Accept": "text/html"}


def campaign(number: int = 1, state: CampaignState = CampaignState.OPEN) -> Campaign:
    """Return a campaign with a name that HTML would stumble over."""
    name = f"Spring <b>{number}</b> & more"
    numbers = {"stock": 1000, "position_limit": 1000, "epoch": 1, "version": 3}
    return Campaign(
        CampaignId(number),
        name,
        Engine.KAFKA,
        state,
        opens_at=None,
        closes_at=AT,
        created_at=AT,
        **numbers,
    )


def report(gate: GateState = GateState.OPEN, *, issued: int = 400) -> OverviewReport:
    """Return what the sampler would see of campaign 1."""
    seen = gate is GateState.OPEN
    drop = CampaignOverview(
        campaign_id=1,
        name="Spring",
        engine=Engine.KAFKA,
        state=CampaignState.OPEN,
        stock=1000,
        stock_left=550 if seen else None,
        under_way=50 if seen else None,
        issued=issued,
        under_review=1,
        cancelled=2,
        epoch=1,
        version=3,
        gate=GateView(gate, 1, 3, 450),
    )
    answers = gate is not GateState.UNREACHABLE
    return OverviewReport(12, 0.4, OutboxView(30, 3, 1.5), [drop], 1, answers)


def letter(number: int = 7, state: State = State.QUARANTINED) -> Letter:
    """Return a dead letter."""
    return Letter(
        number,
        state,
        CampaignId(1),
        1,
        42,
        UserId("ann"),
        0,
        1.0,
        "topic",
        0,
        3,
        Reason.REJECTED,
        "a <constraint> said no",
        b'{"users": ["ann"]}',
        5,
        AT,
        None,
        None,
    )


def set_event() -> Event:
    """Return an event that has happened."""
    event = Event()
    event.set()
    return event


@dataclass
class Shop(Campaigns, Overview, DeadLetters, People, AuditTrail):
    """Stands for everything behind the pages; a handler is given no other types."""

    deeds: list[tuple[object, ...]] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=lambda: [campaign()])
    letters: list[Letter] = field(default_factory=lambda: [letter()])
    away: bool = False
    has_holders: bool = True
    fails_once: bool = False
    may_answer: Event = field(default_factory=set_event)
    may_open: Event = field(default_factory=Event)

    def list(self, asked: Asked | None = None, **page: object) -> Any:
        """Return campaigns; letters when asked for some."""
        self._answer()
        return self.campaigns if asked is None else self.letters

    def show(self, number: int) -> Any:
        """Return the campaign or letter of a number."""
        self._answer()
        for each in self.letters:
            if each.dead_letter_id == number:
                return each
        if number == 70:
            raise DeadLetterNotFound("there is no dead letter 70")
        for known in self.campaigns:
            if known.campaign_id == number:
                return known
        raise CampaignNotFound(f"there is no campaign {number}")

    def create(self, **wanted: object) -> Campaign:
        """Note what is to be made."""
        self.deeds.append(("create", wanted))
        return campaign(2)

    def restock(self, number: int, coupons: int, actor: str) -> None:
        """Note it."""
        if self.fails_once:
            self.fails_once = False
            raise DatabaseUnavailable("PostgreSQL gives no answer", certain=True)
        self.deeds.append(("restock", number, coupons, actor))

    def pause(self, number: int, actor: str) -> None:
        """Note it."""
        self._answer()
        self.deeds.append(("pause", number, actor))

    def edit(self, number: int, **wanted: object) -> None:
        """Note it."""
        self.deeds.append(("edit", number, wanted))

    def numbers(self, asked: Asked) -> Any:
        """Return the numbers of all letters."""
        return [each.dead_letter_id for each in self.letters]

    def redrive(self, numbers: Any, actor: str, *, dry_run: bool = False) -> Iterator[Decision]:
        """Note it."""
        for number in numbers:
            self.deeds.append(("redrive", number, actor, dry_run))
            yield Decision(number, Outcome.ISSUED, "it has its coupon")

    def discard(self, numbers: Any, actor: str, *, dry_run: bool = False) -> Iterator[Decision]:
        """Decide one, then lose the database."""
        yield Decision(numbers[0], Outcome.DISCARDED, "given back")
        raise DatabaseUnavailable("PostgreSQL gives no answer")

    def of(self, number: int) -> Any:
        """Return what operators did."""
        return [Deed(AT, "ann", "campaign.restock", {"coupons": 5, "version": 2})]

    def latest(self) -> Any:
        """Return what operators did last."""
        return self.of(1)

    def note(
        self, actor: str, action: str, detail: dict[str, Any], campaign_id: int | None = None
    ) -> None:
        """Note it."""
        self.deeds.append((actor, action, detail.get("operator", campaign_id)))

    def winners(self, number: int) -> Iterator[Winner]:
        """Return one."""
        yield Winner(Position(1), UserId("ann"), "CODE-1", None, AT)

    def code(self, campaign_id: int, position: int) -> str:
        """Return one that names its place."""
        return f"CODE-{campaign_id}-{position}"

    def look_up(self, user_id: str, campaigns: object) -> Sequence[InCampaign]:
        """Return one person in every state that there is."""
        row = Row(1, 42, "ISSUED", None, AT, AT, 1)
        gone = row._replace(status="CANCELLED", reason="DISCARDED")
        waits = LetterOf(7, 1, "QUARANTINED", "REJECTED", 42, AT)
        one = CampaignId(1)
        cases: list[tuple[dict[CampaignId, int | None], Any, Any]] = [
            ({one: 42}, [row], []),
            ({one: 42}, [row._replace(status="UNDER_REVIEW")], [waits]),
            ({one: 42}, [], []),
            ({one: 0}, [gone], []),
            ({one: 0}, [], [waits]),
            ({one: 0}, [], []),
            ({}, [], []),
        ]
        return [standing(campaign(), *case, told=True) for case in cases]

    def newest(self, campaign_id: int) -> Any:
        """Return who got the newest coupon."""
        return [Holder(1, "ann", AT)] if self.has_holders else []

    def check_database(self) -> None:
        """PostgreSQL answers."""

    def read(self) -> OverviewReport:
        """Return the overview."""
        return report()

    def _answer(self) -> None:
        self.may_answer.wait(7)
        if self.away:
            raise DatabaseUnavailable("PostgreSQL gives no answer", certain=True)


class Gates:
    """Makes gates anew, once its test lets it."""

    def __init__(self, shop: Shop, stop: Event, say: Callable[[str], None]) -> None:
        self._shop, self._stop, self._say = shop, stop, say

    def run_once(self, campaigns: Sequence[Campaign]) -> int:
        """Wait, then open them all."""
        self._say("waiting for the test")
        self._shop.may_open.wait(10)
        if self._shop.away:
            raise GateUnavailable("Redis gives no answer")
        return len(campaigns)


def no_gate() -> GateSession:
    """Redis is away."""
    raise GateUnavailable("Redis gives no answer")


@dataclass
class Stage:
    """A console and the shop behind it."""

    client: TestClient[Any]
    shop: Shop
    live: Live
    failed: FailedSignIns
    rebuilds: Rebuilds

    def clear(self) -> None:
        """Forget what an earlier test has done."""
        self.client.cookies.clear()
        self.shop.__init__()  # type: ignore[misc]
        self.live.__init__(lambda: TOLD, 2)  # type: ignore[misc]
        self.failed.__init__()  # type: ignore[misc]
        self.rebuilds.latest = None

    def sign_in(self, role: str = "operator", key: str | None = None) -> None:
        """Become somebody; `role` is the name too."""
        answer = self.post("/sign-in", name=role, key=key or KEYS[role], csrf="", next="/drops")
        assert (answer.status_code, answer.headers["location"]) == (303, "/drops")

    def get(self, path: str, **headers: str) -> Any:
        """Ask as a browser."""
        return self.client.get(path, headers=BROWSER | headers, follow_redirects=False)

    def post(self, path: str, *, csrf: str | None = None, headers: Any = None, **form: Any) -> Any:
        """Send a form with the token of this session's pages."""
        token = self.token() if csrf is None else csrf
        return self.client.post(
            path, data={"csrf": token, **form}, headers=headers or BROWSER, follow_redirects=False
        )

    def token(self) -> str:
        """Return the token that the pages of this session carry."""
        text = self.get("/drops").text
        return str(text.partition('name="csrf" value="')[2].partition('"')[0])


TOLD = Told(
    [ToldProcess("api-1", "api", "ready", 0, True), ToldProcess("recorder-1", "recorder")],
    Answers(0.004, 0.021, {"REQUESTED": 900.0, "COUPON_OUT_OF_STOCK": 30.0}),
    {"1": {"lost": 2}},
    1,
)


@contextmanager
def staged(told: Told = TOLD, **settings: Any) -> Iterator[Stage]:
    """Run a console without engines."""
    shop, live = Shop(), Live(lambda: told, 2)
    operators = {
        role: OperatorKey.model_validate({"role": role, "key": key}) for role, key in KEYS.items()
    }
    settings = {"operator_key": SecretStr(SHARED), "operators": operators} | settings
    parts = ConsoleParts(
        settings=ConsoleSettings(**settings),
        campaigns=shop,
        overview=shop,
        dead_letters=shop,
        people=shop,
        audit=shop,
        archive=Archive(shop, no_gate),
        rebuilds=Rebuilds(shop, shop, lambda stop, say: Gates(shop, stop, say)),
        live=live,
    )
    with TestClient(create_app(parts)) as client:
        yield Stage(client, shop, live, parts.failed, parts.rebuilds)


def eventually(read: Callable[[], object], wanted: object, seconds: float = 10.0) -> None:
    """Return once `read` says what is wanted; else tell what it said last."""
    until = monotonic() + seconds
    while (seen := read()) != wanted:
        assert monotonic() < until, f"after {seconds} s: {seen!r} instead of {wanted!r}"
        sleep(0.01)


def changed(value: Any, **fields: object) -> Any:
    """Return a copy of a struct with other fields."""
    return msgspec.structs.replace(value, **fields)
