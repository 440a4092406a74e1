"""Signing in and out, the language, and who may sign in at all."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.response import Redirect, Response

from firstcome.console.audit import AuditTrail, Deed
from firstcome.console.auth import NEXT_MAX, Caller, form_of
from firstcome.console.operators import Operator, Operators
from firstcome.console.pages import words
from firstcome.console.pages.rendering import AnyRequest, Pages, caller_of, go, inside
from firstcome.console.sessions import FailedSignIns, Sessions
from firstcome.errors import DatabaseUnavailable
from firstcome.logs import get_logger
from firstcome.settings import ConsoleSettings

log = get_logger()
YEAR_SECONDS = 31_536_000
Next = Annotated[str, QueryParameter(name="next", max_length=NEXT_MAX)]


class SignInPages(Controller):
    """The only pages that a stranger sees, and those about who is signed in."""

    include_in_schema = False

    @get("/sign-in", sync_to_thread=False)
    def ask(
        self, request: AnyRequest, pages: NamedDependency[Pages], target: Next = "/drops"
    ) -> Response[str] | Redirect:
        """Show the form."""
        if caller_of(request.scope):
            return go(inside(target))
        return pages.show(
            request, "sign_in.html", {"target": inside(target), "wrong": None, "name": ""}
        )

    @post("/sign-in", status_code=200, sync_to_thread=False)
    def sign_in(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        operators: NamedDependency[Operators],
        sessions: NamedDependency[Sessions],
        failed: NamedDependency[FailedSignIns],
        settings: NamedDependency[ConsoleSettings],
    ) -> Response[str] | Redirect:
        """Begin a session, or say why not."""
        form, address = form_of(request), _address(request, behind_tls=settings.behind_tls)
        name, target = form.text("name"), inside(form.text("next"))
        seconds = failed.wait_seconds(address)
        operator = None if seconds else _operator(operators, name, form.text("key"))
        if operator is None:
            if not seconds:
                failed.note(address)
                log.warning("sign_in_failed", address=address)
            values = {"target": target, "wrong": seconds, "name": name}
            status = 429 if seconds else 401
            return pages.show(request, "sign_in.html", values, status)
        if caller := caller_of(request.scope):
            _end(sessions, caller)  # who was signed in here before
        answer = go(target)
        cookie = sessions.begin(name, operator.role)
        answer.set_cookie(_session_cookie(sessions.cookie_name, settings, cookie))
        log.info("signed_in", operator=name, role=operator.role.word)
        return answer

    @post("/sign-out", status_code=200, sync_to_thread=False)
    def sign_out(
        self,
        request: AnyRequest,
        sessions: NamedDependency[Sessions],
        settings: NamedDependency[ConsoleSettings],
    ) -> Redirect:
        """End this session."""
        if caller := caller_of(request.scope):
            _end(sessions, caller)
        answer = go("/sign-in")
        answer.set_cookie(_session_cookie(sessions.cookie_name, settings, "", seconds=0))
        return answer

    @get("/language/{language:str}", sync_to_thread=False)
    def choose_language(
        self,
        language: Annotated[str, PathParameter()],
        settings: NamedDependency[ConsoleSettings],
        target: Next = "/drops",
    ) -> Redirect:
        """Remember a language in this browser."""
        answer = go(inside(target))
        if language in words.LANGUAGES:
            answer.set_cookie(
                Cookie(
                    words.COOKIE,
                    value=language,
                    max_age=YEAR_SECONDS,
                    httponly=True,
                    samesite="lax",
                    secure=settings.behind_tls,
                )
            )
        return answer

    @get("/operators", sync_to_thread=True)
    def show_operators(
        self,
        request: AnyRequest,
        pages: NamedDependency[Pages],
        operators: NamedDependency[Operators],
        sessions: NamedDependency[Sessions],
        audit: NamedDependency[AuditTrail],
    ) -> Response[str]:
        """Show who may sign in, who is, and what was done of late."""
        signed_in: dict[str, int] = {}
        for session in sessions.all():
            signed_in[session.name] = signed_in.get(session.name, 0) + 1
        known = {name: role.word for name, role in sorted(operators.roles().items())}
        values = {"known": known, "signed_in": signed_in, "shared": operators.has_shared}
        deeds = {"deeds": _deeds(audit)}
        return pages.show(request, "operators.html", values | deeds)

    @post("/operators/sign-out", status_code=200, sync_to_thread=True)
    def sign_out_other(
        self,
        request: AnyRequest,
        actor: NamedDependency[str],
        sessions: NamedDependency[Sessions],
        audit: NamedDependency[AuditTrail],
    ) -> Redirect:
        """End every session of one operator; his key stays valid until it is removed.

        Done first, noted then: while the database is away somebody can still be locked out.
        """
        name = form_of(request).text("name")
        count = sessions.end_of(name)
        log.warning("operator_signed_out", operator=name, by=actor, sessions=count)
        audit.note(actor, "operator.sign_out", {"operator": name, "sessions": count})
        return go("/operators")


def _deeds(audit: AuditTrail) -> list[Deed] | None:
    """Return the newest; None: the database is away, when somebody may still be locked out."""
    try:
        return audit.latest()
    except DatabaseUnavailable:
        return None


def _end(sessions: Sessions, caller: Caller) -> None:
    if caller.session:
        sessions.end(caller.session)


def _operator(operators: Operators, name: str, key: str) -> Operator | None:
    """Return who signs in; a key that was copied from settings.toml may still have its quotes."""
    found = operators.signed_in(name, key)
    if found is None and len(key) > 2 and key[0] == key[-1] == '"':
        return operators.signed_in(name, key[1:-1])
    return found


def _address(request: AnyRequest, *, behind_tls: bool) -> str:
    """Return whose tries are counted: behind a proxy whom the proxy names last, else the peer.

    Otherwise one stranger's wrong keys would keep everybody out who comes through that proxy.
    """
    named = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    peer = request.client.host if request.client else ""
    return named[:64] if behind_tls and named else peer


def _session_cookie(
    name: str, settings: ConsoleSettings, value: str, seconds: int | None = None
) -> Cookie:
    return Cookie(
        name,
        value=value,
        max_age=settings.session_seconds if seconds is None else seconds,
        httponly=True,
        samesite="strict",
        secure=settings.behind_tls,
    )
