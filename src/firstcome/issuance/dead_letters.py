"""Operators' commands on dead letters: look at them, and decide them one by one.

Beside the path: an operator -> [issuance.dead_letters] -> PostgreSQL; the mirror then tells
the gate. Every letter is decided in a transaction of its own, so a command that was
interrupted is simply given again: what is decided already stays as it is.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from firstcome import failpoints, postgres
from firstcome.errors import DatabaseUnavailable, DeadLetterNotFound
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.issuance.decision import Deciding, Decision, Outcome
from firstcome.issuance.letter import Letter, State
from firstcome.issuance.quarantine import Reason
from firstcome.model import CampaignId, Claim

_QUERIES = postgres.queries("dead_letters")
ROWS_MAX = 1000  # read at a time
TRIES = 3  # of one letter, when another transaction was in the way
Decide = Callable[[Deciding], Decision]


class Asked(NamedTuple):
    """Which letters; None: whatever it is."""

    state: State | None = State.QUARANTINED
    reason: Reason | None = None
    campaign_id: CampaignId | None = None


OPEN = Asked()


class DeadLetters:
    """Blocking; a session for each call, so any thread may call. All raise DatabaseUnavailable."""

    def __init__(
        self,
        connect: Callable[[], postgres.Connection],
        open_gate: Callable[[], GateSession],
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect = connect
        self._open_gate = open_gate
        self._pause = pause

    def numbers(self, asked: Asked) -> list[int]:
        """Return the numbers of all letters asked for, oldest first."""
        found: list[int] = []
        with self._session() as connection:
            while True:
                with postgres.transaction(connection):
                    page = _page(connection, asked, found[-1] if found else 0, ROWS_MAX)
                found += [letter.dead_letter_id for letter in page]
                if len(page) < ROWS_MAX:
                    return found

    def list(self, asked: Asked = OPEN, *, after: int = 0, rows: int = 100) -> list[Letter]:
        """Return the next letters after a number, oldest first."""
        with self._session() as connection, postgres.transaction(connection):
            return _page(connection, asked, after, rows)

    def show(self, dead_letter_id: int) -> Letter:
        """Return one letter. Raises DeadLetterNotFound."""
        with self._session() as connection, postgres.transaction(connection):
            letter = _found(connection, "show", dead_letter_id)
        if letter is None:
            raise DeadLetterNotFound(_missing(dead_letter_id))
        return letter

    def redrive(
        self,
        dead_letter_ids: Sequence[int],
        actor: str,
        *,
        rate: float = 0.0,
        dry_run: bool = False,
    ) -> Iterator[Decision]:
        """Issue claims after all, at most `rate` letters a second (0: no bound). Idempotent.

        With `dry_run` says what would become of each, and changes nothing. May raise
        GateUnavailable; what was yielded before stands.
        """
        wanted = (State.REDRIVEN, Deciding.redrive)
        for decision in self._decide_all(dead_letter_ids, actor, wanted, rate, dry_run):
            lost = DatabaseUnavailable("the commit's reply was lost")
            failpoints.hit("after_redrive", lost=lost)
            yield decision

    def discard(
        self,
        dead_letter_ids: Sequence[int],
        actor: str,
        *,
        rate: float = 0.0,
        dry_run: bool = False,
    ) -> Iterator[Decision]:
        """Give units back to the stock; otherwise as `redrive`."""
        wanted = (State.DISCARDED, Deciding.discard)
        for decision in self._decide_all(dead_letter_ids, actor, wanted, rate, dry_run):
            lost = DatabaseUnavailable("the commit's reply was lost")
            failpoints.hit("after_discard", lost=lost)
            yield decision

    def _decide_all(
        self,
        dead_letter_ids: Sequence[int],
        actor: str,
        wanted: tuple[State, Decide],
        rate: float,
        dry_run: bool,
    ) -> Iterator[Decision]:
        with self._session() as connection:
            for index, dead_letter_id in enumerate(dead_letter_ids):
                if rate and index:
                    self._pause(1 / rate)
                yield self._patiently(connection, dead_letter_id, actor, wanted, dry_run)

    def _patiently(
        self,
        connection: postgres.Connection,
        dead_letter_id: int,
        actor: str,
        wanted: tuple[State, Decide],
        dry_run: bool,
    ) -> Decision:
        """Try again what another transaction was in the way of, and nothing else."""
        for _ in range(TRIES - 1):
            try:
                return self._decide(connection, dead_letter_id, actor, wanted, dry_run)
            except DatabaseUnavailable as error:
                if not error.certain or connection.closed:
                    raise
        return self._decide(connection, dead_letter_id, actor, wanted, dry_run)

    def _decide(
        self,
        connection: postgres.Connection,
        dead_letter_id: int,
        actor: str,
        wanted: tuple[State, Decide],
        dry_run: bool,
    ) -> Decision:
        state, decide = wanted
        with postgres.transaction(connection, force_rollback=dry_run):
            letter = _found(connection, "lock", dead_letter_id)
            if letter is None:
                return Decision(dead_letter_id, Outcome.NOT_FOUND, _missing(dead_letter_id))
            if letter.state is State.QUARANTINED:
                return decide(Deciding(connection, letter, actor, self._holds))
        same = letter.state is state
        outcome = Outcome.ALREADY_DECIDED if same else Outcome.DECIDED_OTHERWISE
        said = f"it is {letter.state} since {letter.decided_at}; nothing was changed"
        return Decision(dead_letter_id, outcome, said, letter.campaign_id)

    def _holds(self, claims: Sequence[Claim]) -> bool:
        """Whether the gate holds every one of these places for its user."""
        with self._open_gate() as session:
            users = [claim.user_id for claim in claims]
            held = register.places(session, claims[0].campaign_id, users)
        return held == [claim.position for claim in claims]

    @contextmanager
    def _session(self) -> Iterator[postgres.Connection]:
        with closing(self._connect()) as session:
            yield session


def _page(connection: postgres.Connection, asked: Asked, after: int, rows: int) -> list[Letter]:
    parameters = asked._asdict() | {"after": after, "rows": rows}
    return [Letter.of(row) for row in connection.execute(_QUERIES["list"], parameters)]


def _found(connection: postgres.Connection, query: str, dead_letter_id: int) -> Letter | None:
    row = connection.execute(_QUERIES[query], {"dead_letter_id": dead_letter_id}).fetchone()
    return Letter.of(row) if row else None


def _missing(dead_letter_id: int) -> str:
    return f"there is no dead letter {dead_letter_id}: `firstcome dead-letters list` shows them"
