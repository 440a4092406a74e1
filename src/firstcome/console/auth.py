"""Who may operate, and what (law L8): the one place where it is decided.

Stands in front of the whole console application, so that a new route is guarded before anybody
thinks of it. A program sends a key as bearer; a browser has a session. What a session changes
needs the token of one of its pages. Without any key nothing but health and sign-in is served.
"""

import re
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import ValidationException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from firstcome.console.form import CONFIRMATION, CSRF, Form, TooLarge, again, body_of
from firstcome.console.operators import NAME_PATTERN, Operators, Role
from firstcome.console.refusal import Page, send_problem, sent, wants_page
from firstcome.console.sessions import Session, Sessions

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/sign-in"})
OPEN_FOLDERS = ("/static/", "/language/")
ADMIN_FOLDERS = ("/operators",)
CODES = "/winners.csv"  # it holds the codes of coupons
# Pages that do nothing but ask for a change: nobody is asked what he may not do.
FORMS = re.compile(r"/campaigns/(new|[0-9]+/[a-z]+)|/health/rebuild")
OWN_PATHS = frozenset({"/sign-out"})  # everybody may, for himself
NEXT_MAX = 500  # characters of the address that sign-in leads back to
READING = frozenset({"GET", "HEAD", "OPTIONS"})

NO_KEY = (
    "This console has no operator key, so it refuses everybody: set console.operator_key "
    "(FIRSTCOME_CONSOLE__OPERATOR_KEY, at least 32 bytes) or console.operators, and start it again."
)
WRONG_KEY = "Send an operator's key as `Authorization: Bearer <key>`, or sign in at /sign-in."
WRONG_ROLE = "Your role may not do this: {needed} is needed, you are {role}. Nothing was changed."
NOT_OURS = (
    "The form does not come from a page of your session, so nothing was changed: open the page "
    "again and repeat it."
)
TOO_LARGE = "The form is too large; nothing was changed."
NO_SUCH_ADDRESS = "No address here has an empty part, or ends in a slash. Nothing was changed."

# What no page of ours needs is forbidden: scripts and styles come from files of our own only.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # A form must say where it comes from; other hosts are told nothing.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Caller(NamedTuple):
    """Who asks. `name` is None for the shared key: its bearer says it in X-Operator."""

    name: str | None
    role: Role
    session: Session | None = None


def role_needed(method: str, path: str) -> Role:
    """Return the least role that may do this."""
    if path in OWN_PATHS:
        return Role.VIEWER
    if path.startswith(ADMIN_FOLDERS):
        return Role.ADMIN
    if path.endswith(CODES) or FORMS.fullmatch(path):
        return Role.OPERATOR
    return Role.VIEWER if method in READING else Role.OPERATOR


class OperatorGuard:
    """An ASGI application that lets only operators through to the one behind it."""

    def __init__(self, app: ASGIApp, operators: Operators, sessions: Sessions, page: Page) -> None:
        """`page`: what a browser is shown instead of a problem's JSON."""
        self._app = app
        self._page = page
        self._operators = operators
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)  # the server's own start and stop
            return
        send = _with_headers(send)
        caller = self._caller(scope)
        scope.setdefault("state", {})["caller"] = caller
        if _is_ambiguous(scope["path"]):
            await self._refuse(scope, send, "NOT_FOUND", NO_SUCH_ADDRESS)
        elif scope["path"] in OPEN_PATHS or scope["path"].startswith(OPEN_FOLDERS):
            await self._open(scope, receive, send)
        elif caller is None:
            await self._refuse_stranger(scope, send)
        else:
            await self._admit(caller, scope, receive, send)

    async def _open(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        if scope["method"] in READING:
            await self._app(scope, receive, send)
            return
        await self._with_form(scope, receive, send)

    async def _admit(self, caller: Caller, scope: HTTPScope, receive: Receive, send: Send) -> None:
        needed = role_needed(scope["method"], scope["path"])
        if caller.role < needed:
            said = WRONG_ROLE.format(needed=needed.word, role=caller.role.word)
            await self._refuse(scope, send, "FORBIDDEN", said)
        elif caller.session is None or scope["method"] in READING:
            await self._app(scope, receive, send)
        else:
            await self._with_form(scope, receive, send, caller.session)

    async def _with_form(
        self, scope: HTTPScope, receive: Receive, send: Send, session: Session | None = None
    ) -> None:
        """Read the form; pass it on if it comes from a page of ours, and of this session."""
        try:
            body = await body_of(receive)
        except TooLarge:
            await self._refuse(scope, send, "BODY_TOO_LARGE", TOO_LARGE)
            return
        form = Form.of(body)
        if not _same_origin(scope) or (session and not session.is_token(form.text(CSRF))):
            await self._refuse(scope, send, "FORBIDDEN", NOT_OURS)
            return
        scope["state"]["form"] = form
        await self._app(scope, again(body, receive), send)

    def _caller(self, scope: HTTPScope) -> Caller | None:
        keys = sent(scope, b"authorization")
        if len(keys) == 1:
            scheme, _, key = keys[0].partition(b" ")
            operator = self._operators.of_key(key) if scheme.lower() == b"bearer" else None
            return Caller(operator.name, operator.role) if operator else None
        session = None if keys else self._sessions.of(_cookie(scope, self._sessions.cookie_name))
        return Caller(session.name, session.role, session) if session else None

    async def _refuse_stranger(self, scope: HTTPScope, send: Send) -> None:
        if scope["method"] == "GET" and wants_page(scope):
            await _send_to_sign_in(scope, send)
        else:
            detail = NO_KEY if self._operators.nobody else WRONG_KEY
            await self._refuse(scope, send, "UNAUTHENTICATED", detail)

    async def _refuse(self, scope: HTTPScope, send: Send, code: str, detail: str) -> None:
        await send_problem(scope, send, self._page, code, detail)


def actor_of(request: Request) -> str:  # type: ignore[type-arg]
    """Return who is named in the audit for this change; the shared key names nobody.

    Raises ValidationException (400) when its bearer says no name in X-Operator.
    """
    caller: Caller | None = request.scope["state"]["caller"]
    if caller and caller.name:
        return caller.name
    name = request.headers.get("X-Operator", "")
    if not NAME_PATTERN.fullmatch(name):
        raise ValidationException(
            "Say who you are in the header X-Operator: 1 to 64 letters, digits or _ . : @ -"
        )
    return name


def form_of(request: Request) -> Form:  # type: ignore[type-arg]
    """Return what the request's form has sent."""
    form: Form = request.scope["state"].get("form") or Form()
    return form


def is_first_time(request: Request) -> bool:  # type: ignore[type-arg]
    """Whether a confirmation was not given before: each counts once, and in its session."""
    caller: Caller | None = request.scope["state"]["caller"]
    session = caller.session if caller else None
    return session is not None and session.first_time(form_of(request).text(CONFIRMATION))


def forget_confirmation(request: Request) -> None:  # type: ignore[type-arg]
    """Let a confirmation count again: what it confirms was certainly not done."""
    caller: Caller | None = request.scope["state"].get("caller")
    if caller and caller.session:
        caller.session.forget(form_of(request).text(CONFIRMATION))


def _is_ambiguous(path: str) -> bool:
    """Whether the routing would take this address for another one than the guard does.

    It reads `//` as `/` and forgets a slash at the end, so a role asked of the one would not hold
    for the other.
    """
    return "//" in path or (path != "/" and path.endswith("/"))


def _cookie(scope: HTTPScope, name: str) -> str:
    cookies = SimpleCookie()
    try:
        for value in sent(scope, b"cookie"):
            cookies.load(value.decode("latin-1"))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


def _same_origin(scope: HTTPScope) -> bool:
    """Whether a browser says that the request comes from a page of this host, or says nothing."""
    site = sent(scope, b"sec-fetch-site")
    if site and site != [b"same-origin"]:
        return False
    origin = sent(scope, b"origin")
    hosts = [urlsplit(each.decode("latin-1")).netloc.encode("latin-1") for each in origin]
    return not hosts or hosts == sent(scope, b"host")


def _with_headers(send: Send) -> Send:
    """Add what every answer carries, unless it says otherwise itself."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            own = {name.lower() for name, _ in headers}
            headers += [
                (name.encode(), value.encode())
                for name, value in HEADERS.items()
                if name.encode() not in own
            ]
            message["headers"] = headers
        await send(message)

    return sending


async def _send_to_sign_in(scope: HTTPScope, send: Send) -> None:
    asked = scope["path"] + ("?" + scope["query_string"].decode("latin-1")).rstrip("?")
    # A longer one the sign-in page would not take.
    target = "/sign-in?next=" + quote(asked if len(asked) <= NEXT_MAX else "/", safe="/")
    # A part of a page cannot be led elsewhere; htmx then leads the whole page.
    is_part = bool(sent(scope, b"hx-request"))
    name = b"hx-redirect" if is_part else b"location"
    headers = [(name, target.encode()), (b"content-length", b"0")]
    status = 200 if is_part else 303
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
