"""The gate's scripts beside a model of their rules: any acts, in any order, on a real server."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from firstcome.gate import keys, register
from firstcome.gate.journal import Journal
from firstcome.gate.register import Decided
from firstcome.gate.session import GateSession
from firstcome.model import Campaign, CampaignState, UserId, Verdict
from firstcome.settings import Settings
from tests.integration.gate_stage import campaign, fresh_id, open_gate, remove

pytestmark = pytest.mark.integration

ISSUED, UNDER_REVIEW, CANCELLED = 1, 2, 3
NOW = datetime.now(UTC)
BOUNDS = {None: None, "past": NOW - timedelta(hours=1), "future": NOW + timedelta(hours=1)}
USERS = st.sampled_from([f"user-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"])
CLAIMS = st.lists(st.tuples(USERS, st.integers(0, 2)), min_size=1, max_size=6)
STATES = st.sampled_from([*[CampaignState.OPEN] * 6, *CampaignState])
PLACE = st.floats(0, 1, exclude_max=True)


@dataclass
class Model:
    """What the gate should hold, by the rules alone."""

    decided: Campaign  # as mirrored
    last: int = 0
    users: dict[str, tuple[int, int]] = field(default_factory=dict)  # position, attempt
    settled: dict[int, int] = field(default_factory=dict)
    journal: dict[int, list[tuple[str, int]]] = field(default_factory=dict)

    def refusal(self) -> Verdict:
        """Why a stranger is not admitted."""
        opens_at, closes_at = self.decided.opens_at, self.decided.closes_at
        if self.decided.state is CampaignState.PAUSED:
            return Verdict.PAUSED
        if self.decided.state is not CampaignState.OPEN or closes_at == BOUNDS["past"]:
            is_early = opens_at == BOUNDS["future"] and self.decided.state is CampaignState.OPEN
            return Verdict.NOT_OPEN if is_early else Verdict.CLOSED
        return Verdict.NOT_OPEN if opens_at == BOUNDS["future"] else Verdict.SOLD_OUT

    def admit(self, claims: list[tuple[str, int]]) -> list[int]:
        """Return the replies, and take the places."""
        refusal, before = self.refusal(), self.last
        free = self.decided.position_limit - self.last if refusal is Verdict.SOLD_OUT else 0
        replies = []
        for user, attempt in claims:
            if held := self.users.get(user):
                verdict = Verdict.REPLAYED if attempt and attempt == held[1] else Verdict.DUPLICATE
                replies.append(held[0] * 32 + self.settled.get(held[0], 0) * 8 + verdict)
            elif self.last - before < free:
                self.last += 1
                self.users[user] = (self.last, attempt)
                self.journal.setdefault(before + 1, []).append((user, attempt))
                replies.append(self.last * 32 + Verdict.ADMITTED)
            else:
                replies.append(int(refusal))
        return replies


class Machine(RuleBasedStateMachine):
    """A gate, its model, and the database's side of it: what the mirror may bring next."""

    def __init__(self, session: GateSession) -> None:
        super().__init__()
        self.session = session
        self.buckets = 3
        self.truth = campaign(fresh_id(), limit=9)
        self.number = self.truth.campaign_id
        self.model = Model(self.truth)
        self.gone: list[tuple[int, Decided]] = []  # version, row
        self.early: tuple[Campaign, list[Decided]] = (self.truth, [])
        open_gate(session, self.truth, buckets=self.buckets)

    def teardown(self) -> None:
        """Leave nothing behind."""
        remove(self.session, self.number)

    def _field(self) -> str:
        return keys.epoch_field(self.truth.epoch, self.session.run_id)

    def _script(self, name: str, claims: list[tuple[str, int]], epoch: str | None = None) -> Any:
        """Run admit or status as the hot path does."""
        epoch_number = self.truth.epoch
        names = [keys.gate(self.number), keys.settled(self.number, epoch_number)]
        args: list[str | int] = [epoch or self._field()]
        if name == "admit":
            names.insert(1, keys.journal(self.number, epoch_number))
            args.append("1795000000.123")
        for user, attempt in claims:
            bucket = keys.bucket_of(UserId(user), self.buckets)
            names.append(f"{keys.users_prefix(self.number, epoch_number)}{bucket}")
            args += [user, attempt, len(names)] if name == "admit" else [user, len(names)]
        return self.session.script(name, names, args)

    @rule(claims=CLAIMS)
    def admit(self, claims: list[tuple[str, int]]) -> None:
        assert self._script("admit", claims) == self.model.admit(claims)

    @rule(claims=CLAIMS, again=CLAIMS)
    def admit_twice(self, claims: list[tuple[str, int]], again: list[tuple[str, int]]) -> None:
        self.admit(claims)
        self.admit(again)

    @rule(claims=CLAIMS, other=st.sampled_from(["number", "life", "token"]))
    def ask_with_another_epoch(self, claims: list[tuple[str, int]], other: str) -> None:
        wrong = {
            "number": keys.epoch_field(self.truth.epoch + 1, self.session.run_id),
            "life": keys.epoch_field(self.truth.epoch, "0" * 40),
            "token": "shut:1:abc",
        }[other]
        for name in ("admit", "status"):
            assert self._script(name, claims, wrong) == [b"stale", self._field().encode()]

    @rule(users=st.lists(USERS, min_size=1, max_size=5))
    def read_statuses(self, users: list[str]) -> None:
        held = [self.model.users.get(user, (0, 0))[0] for user in users]
        replies = [position * 4 + self.model.settled.get(position, 0) for position in held]
        assert self._script("status", [(user, 0) for user in users]) == replies

    @rule(start=PLACE, length=st.integers(1, 12), code=st.integers(1, 3))
    def settle(self, start: float, length: int, code: int) -> None:
        """Only what may follow by law L7; a late UNDER_REVIEW may come after the decision."""
        first = math.floor(start * self.model.last) + 1
        last = min(first + length - 1, self.model.last)
        settled = self.model.settled
        allowed = {ISSUED: {0, 1, 2}, UNDER_REVIEW: {0, 1, 2, 3}, CANCELLED: {3}}[code]
        last = next(
            (n - 1 for n in range(first, last + 1) if settled.get(n, 0) not in allowed), last
        )
        if last < first:
            return
        self.session.settle(self.number, self.truth.epoch, [(first, last, code)])
        for position in range(first, last + 1):
            if code != UNDER_REVIEW or not settled.get(position):
                settled[position] = code

    @rule()
    def settle_another_epoch(self) -> None:
        for epoch in (self.truth.epoch - 1, self.truth.epoch + 1):
            assert self.session.settle(self.number, epoch, [(1, 9, ISSUED)]) == 0

    @rule(
        units=st.integers(0, 6),
        state=STATES,
        opens_at=st.sampled_from([None, None, None, "past", "past", "past", "future"]),
        closes_at=st.sampled_from([None, None, None, "future", "future", "future", "past"]),
    )
    def operate(
        self, units: int, state: CampaignState, opens_at: str | None, closes_at: str | None
    ) -> None:
        self.truth = self.truth._replace(
            state=state,
            opens_at=BOUNDS[opens_at],
            closes_at=BOUNDS[closes_at],
            position_limit=self.truth.position_limit + units,
            version=self.truth.version + 1,
        )

    @rule(place=PLACE, whose=st.sampled_from(["his", "his", "nobody's", "another's"]), user=USERS)
    def cancel(self, place: float, whose: str, user: str) -> None:
        position = math.floor(place * self.model.last) + 1
        is_open = self.model.settled.get(position, 0) in (0, UNDER_REVIEW)
        if position > self.model.last or not is_open or position in self._decided():
            return
        self.truth = self.truth._replace(
            position_limit=self.truth.position_limit + 1, version=self.truth.version + 1
        )
        users = [user for user, held in self.model.users.items() if held[0] == position]
        named = {"his": users[0] if users else None, "another's": user, "nobody's": None}[whose]
        held = position - 1 if place < 0.2 else 0
        row = Decided(position, named and UserId(named), held)
        self.gone.append((self.truth.version, row))

    @rule(place=PLACE, forgotten=st.booleans())
    def redrive(self, place: float, forgotten: bool) -> None:
        """A claim under review is issued; the gate may have been loaded without its user."""
        position = math.floor(place * self.model.last) + 1
        users = [user for user, held in self.model.users.items() if held[0] == position]
        is_open = self.model.settled.get(position, 0) == UNDER_REVIEW
        if not users or not is_open or position in self._decided():
            return
        self.truth = self.truth._replace(version=self.truth.version + 1)
        attempt = self.model.users[users[0]][1]
        row = Decided(position, UserId(users[0]), position, attempt, ISSUED)
        self.gone.append((self.truth.version, row))
        if forgotten:
            bucket = keys.bucket_of(UserId(users[0]), self.buckets)
            prefix = keys.users_prefix(self.number, self.truth.epoch)
            self.session.call("HDEL", f"{prefix}{bucket}", users[0])
            del self.model.users[users[0]]
            self.mirror()

    def _decided(self) -> set[int]:
        return {row.position for _, row in self.gone}

    def _cancelled(self) -> set[int]:
        return {row.position for _, row in self.gone if row.settled == CANCELLED}

    @rule()
    def mirror(self) -> None:
        above = self.model.decided.version
        rows = [row for version, row in self.gone if version > above]
        self.early = (self.truth, rows)
        found = register.mirror(self.session, self.truth, self.buckets, rows)
        assert found == self.truth.version
        if self.truth.version == above:
            return
        self.model.decided = self.truth
        for position, user, held, attempt, settled in rows:
            self.model.settled[position] = settled
            if settled == ISSUED:
                self.model.users.setdefault(user or "", (held, attempt))
            elif user and self.model.users.get(user, (0, 0))[0] == position:
                del self.model.users[user]
                if held:
                    self.model.users[user] = (held, 0)

    @rule()
    def mirror_late(self) -> None:
        decided, rows = self.early
        if decided.epoch == self.truth.epoch and decided.version <= self.model.decided.version:
            found = register.mirror(self.session, decided, self.buckets, rows)
            assert found == self.model.decided.version

    @rule()
    def trim(self) -> None:
        done = [
            first
            for first, claims in self.model.journal.items()
            if all(self.model.settled.get(first + i) for i in range(len(claims)))
        ]
        assert Journal(self.session, self.number, self.truth.epoch).trim() == len(done)
        for first in done:
            del self.model.journal[first]

    @rule(buckets=st.integers(1, 4))
    def rebuild(self, buckets: int) -> None:
        """Shut, load what is settled, switch; what is open is given up."""
        session, before = self.session, self.truth
        register.shut(session, self.number, "shut:1:mine")
        assert self._script("admit", [("user-a", 0)]) == [b"stale", b"shut:1:mine"]
        assert self._script("status", [("user-a", 0)]) == [b"stale", b"shut:1:mine"]
        assert register.mirror(session, self.truth, self.buckets, []) == -1
        assert session.settle(self.number, before.epoch, [(1, 1, ISSUED)]) == 0
        assert Journal(session, self.number, before.epoch).trim() == 0
        live = {p for p in range(1, self.model.last + 1) if self.model.settled.get(p) in (1, 2)}
        live -= self._cancelled()
        self.model.settled |= dict.fromkeys(self._decided() - self._cancelled(), ISSUED)
        holes = set(range(1, self.model.last + 1)) - live - self._cancelled()
        self.truth = before._replace(
            epoch=before.epoch + 1,
            version=before.version + 1,
            position_limit=before.position_limit + len(holes),
        )
        holders = {held[0]: (user, held[1]) for user, held in self.model.users.items()}
        loader = register.Loader(session, self.number, self.truth.epoch, buckets)
        self.model.settled |= dict.fromkeys(holes | self._cancelled(), CANCELLED)
        self.model.users = {}
        for position in range(1, self.model.last + 1):
            user, attempt = holders.get(position, (None, 0)) if position in live else (None, 0)
            loader.add(position, user and UserId(user), attempt, self.model.settled[position])
            if user:
                self.model.users[user] = (position, attempt)
        loader.finish()
        switch = {"buckets": buckets, "position_last": self.model.last}
        assert not register.switch(session, self.truth, "shut:1:another", **switch)
        assert register.switch(session, self.truth, "shut:1:mine", **switch)
        register.unlink(session, self.number, before.epoch, self.buckets)
        found = session.call("KEYS", f"fc:{{{self.number}}}:{before.epoch}:*")
        assert found == []
        self.buckets, self.model.journal, self.gone = buckets, {}, []
        self.model.decided = self.truth

    @invariant()
    def gate_agrees_with_the_model(self) -> None:
        session, model, epoch = self.session, self.model, self.truth.epoch
        found = register.read(session, self.number)
        assert found.epoch == epoch
        assert found.version == model.decided.version
        assert (found.position_last, found.position_limit) == (
            model.last,
            model.decided.position_limit,
        )
        users = {}
        for bucket in range(self.buckets):
            name = f"{keys.users_prefix(self.number, epoch)}{bucket}"
            flat = session.call("HGETALL", name)
            assert isinstance(flat, list)
            for user, packed in zip(flat[::2], flat[1::2], strict=True):
                assert keys.bucket_of(UserId(user.decode()), self.buckets) == bucket
                value = int(packed)
                users[user.decode()] = (value, 0) if value > 0 else divmod(-value, 2**24)
        assert users == model.users
        entries = Journal(session, self.number, epoch).read(0, None, 10_000)
        assert {
            entry.first_position: list(
                zip(entry.users, entry.attempts or [0] * len(entry.users), strict=True)
            )
            for entry in entries
        } == model.journal
        bits = session.call("GET", keys.settled(self.number, epoch)) or b""
        assert isinstance(bits, bytes)
        settled = {n: bits[n // 4] >> 2 * (3 - n % 4) & 3 for n in range(len(bits) * 4)}
        assert {n: code for n, code in settled.items() if code} == {
            n: code for n, code in model.settled.items() if code
        }

    @invariant()
    def laws_hold(self) -> None:
        model = self.model
        held = [position for position, _ in model.users.values()]
        assert all(1 <= position <= model.last for position in held)
        assert model.last <= self.truth.position_limit
        # Whatever is not settled is in the journal: nothing is forgotten.
        noted = {first + i for first, claims in model.journal.items() for i in range(len(claims))}
        assert {n for n in range(1, model.last + 1) if not model.settled.get(n)} <= noted


def test_scripts_agree_with_the_model_whatever_is_done(engines: Settings) -> None:
    with GateSession.open(engines.redis) as session:
        run_state_machine_as_test(
            lambda: Machine(session),
            settings=hypothesis_settings(
                max_examples=150,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_a_claim_is_judged_by_the_servers_own_clock(engines: Settings) -> None:
    with GateSession.open(engines.redis) as session:
        seconds, microseconds = map(int, session.call("TIME"))  # type: ignore[arg-type]
        now = datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)
        soon = now + timedelta(seconds=0.3)
        for bound, before, after in (
            ("opens_at", Verdict.NOT_OPEN, Verdict.SOLD_OUT),
            ("closes_at", Verdict.SOLD_OUT, Verdict.CLOSED),
        ):
            number = fresh_id()
            of = campaign(number, limit=1, **{bound: soon})
            open_gate(session, of, buckets=1, last=1)
            names = [keys.gate(number), keys.journal(number, 1), keys.settled(number, 1)]
            names.append(f"{keys.users_prefix(number, 1)}0")
            args = [keys.epoch_field(1, session.run_id), "0", "user", 0, 4]
            seen = []
            while not seen or seen[-1] == before:
                seen += session.script("admit", names, args)  # type: ignore[operator]
            taken = session.call("TIME")
            assert seen[0] == before
            assert seen[-1] == after
            assert isinstance(taken, list)
            assert int(taken[0]) + int(taken[1]) / 1e6 >= soon.timestamp() - 0.001
            remove(session, number)
            soon = datetime.fromtimestamp(int(taken[0]) + 1.3, UTC)
