"""Dead letters for operators: find, inspect, and decide them, one or many at once.

A decision is tried first: every letter is decided in a transaction that is rolled back, and the
operator sees what would become of each. Repeating a decision changes nothing.
"""

from time import monotonic
from typing import Annotated, NamedTuple

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import PathParameter, QueryParameter
from litestar.response import Response

from firstcome.console.auth import form_of
from firstcome.console.form import Form
from firstcome.console.pages.rendering import AnyRequest, Pages
from firstcome.errors import Unavailable
from firstcome.issuance.dead_letters import Asked, DeadLetters
from firstcome.issuance.decision import Decision
from firstcome.issuance.letter import Letter, State
from firstcome.issuance.quarantine import Reason
from firstcome.model import CampaignId

Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]
Given = NamedDependency[DeadLetters]
Actor = NamedDependency[str]
ROWS = 50
AT_ONCE = 500  # more are a matter of `firstcome dead-letters`, at a rate
DECIDE_SECONDS = 20.0  # then the page says how far it came; less than console.patience allows
ACTIONS = ("redrive", "discard")
PAYLOAD_BYTES = 4000  # shown


class Decided(NamedTuple):
    """What became of letters, as far as it went."""

    decisions: list[Decision]
    stopped: str = ""  # what ended it early; empty: nothing
    too_long: bool = False


class LettersPages(Controller):
    """The pages below /dead-letters."""

    path = "/dead-letters"
    include_in_schema = False

    @get(sync_to_thread=True)
    def show_all(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        dead_letters: Given,
        in_state: Annotated[str, QueryParameter(name="state", max_length=20)] = State.QUARANTINED,
        reason: Annotated[str, QueryParameter(max_length=30)] = "",
        campaign: Annotated[str, QueryParameter(max_length=19)] = "",
        after: Annotated[int, QueryParameter(ge=0, le=2**63 - 1)] = 0,
    ) -> Response[str]:
        """List letters, oldest first; an empty field asks for all, an impossible one for none."""
        wrong, found = "", []
        try:
            asked = asked_of(in_state, reason, campaign)
        except ClientException:
            wrong = "wrong.filter"
        else:
            found = dead_letters.list(asked, after=after, rows=ROWS)
        values = {
            "wrong": wrong,
            "letters": found,
            "more": found[-1].dead_letter_id if len(found) == ROWS else None,
            "after": after,
            "states": list(State),
            "reasons": list(Reason),
            "state": in_state,
            "reason": reason,
            "campaign": campaign,
            "at_once": AT_ONCE,
        }
        return pages.show(request, "letters.html", values, 400 if wrong else 200)

    @get("/{dead_letter_id:int}", sync_to_thread=True)
    def show(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        dead_letters: Given,
        dead_letter_id: Number,
    ) -> Response[str]:
        """Show one letter with its origin and payload."""
        letter = dead_letters.show(dead_letter_id)
        values = {"letter": letter, "payload": _payload(letter)}
        return pages.show(request, "letter.html", values)

    @post("/check", status_code=200, sync_to_thread=True)
    def check(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        dead_letters: Given,
        actor: Actor,
    ) -> Response[str]:
        """Say what would become of letters; nothing is changed."""
        form = form_of(request)
        numbers = _numbers(form, dead_letters)
        decided = _decide(dead_letters, form, numbers, actor, dry_run=True)
        values = {"action": form.text("action"), "numbers": numbers, "decided": decided}
        return pages.show(request, "letters_check.html", values)

    @post("/decide", status_code=200, sync_to_thread=True)
    def decide(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        dead_letters: Given,
        actor: Actor,
    ) -> Response[str]:
        """Decide letters, each in a transaction of its own."""
        form = form_of(request)
        numbers = _numbers(form, dead_letters)
        decided = _decide(dead_letters, form, numbers, actor, dry_run=False)
        values = {"action": form.text("action"), "numbers": numbers, "decided": decided}
        return pages.show(request, "letters_decided.html", values)


def asked_of(state: str, reason: str, campaign: str) -> Asked:
    """Return which letters a filter means. Raises ClientException (400)."""
    number = campaign.strip()
    try:
        if number and not (number.isascii() and number.isdigit() and 0 < int(number) < 2**63):
            raise ValueError(number)
        return Asked(
            State(state) if state else None,
            Reason(reason) if reason else None,
            CampaignId(int(number)) if number else None,
        )
    except ValueError as error:
        raise ClientException(f"there is no such filter: {error}") from error


def _numbers(form: Form, dead_letters: DeadLetters) -> list[int]:
    """Return the letters that a form ticks, or all that its filter finds."""
    if form.text("action") not in ACTIONS:
        raise ClientException("action: redrive or discard")
    if form.text("which") == "all":
        asked = asked_of(State.QUARANTINED, form.text("reason"), form.text("campaign"))
        return dead_letters.numbers(asked)[:AT_ONCE]
    return form.numbers("letter")[:AT_ONCE]


def _decide(
    dead_letters: DeadLetters, form: Form, numbers: list[int], actor: str, *, dry_run: bool
) -> Decided:
    act = dead_letters.redrive if form.text("action") == "redrive" else dead_letters.discard
    decisions: list[Decision] = []
    until = monotonic() + DECIDE_SECONDS
    try:
        for decision in act(numbers, actor, dry_run=dry_run):
            decisions.append(decision)
            if monotonic() > until and len(decisions) < len(numbers):
                return Decided(decisions, too_long=True)
    except Unavailable as error:
        # What was decided before stands: it has to be shown.
        return Decided(decisions, str(error))
    return Decided(decisions)


def _payload(letter: Letter) -> str:
    """Return the beginning of a payload as text; bytes that are none as \\x.."""
    return (letter.payload or b"")[:PAYLOAD_BYTES].decode("utf-8", "backslashreplace")
