"""From a template to an answer: who looks, in which language, and what he may do.

Templates escape everything they are given, and know no engine. Nothing here blocks.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request
from litestar.response import Redirect, Response
from litestar.types import HTTPScope
from markupsafe import Markup

from firstcome.console.auth import Caller
from firstcome.console.operators import Role
from firstcome.console.pages.words import LANGUAGES, Words, language_of, told, words_of

FOLDER = Path(__file__).parents[1]
HTML = "text/html; charset=utf-8"
LISTS = ("campaigns", "dead-letters", "health", "operators")  # where changes are begun
AnyRequest = Request[Any, Any, Any]


class Way(NamedTuple):
    """Where a page leads; its word is problem_go.<name>."""

    name: str
    address: str


class Pages:
    """Renders templates. May be used by several threads at once."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters |= {"told": told, "moment": moment}

    def show(
        self,
        request: AnyRequest,
        template: str,
        values: Mapping[str, object],
        status_code: int = 200,
    ) -> Response[str]:
        """Return a page."""
        text = self.text(request.scope, template, values)
        return Response(text, media_type=HTML, status_code=status_code)

    def problem(self, scope: HTTPScope, code: str, detail: str) -> tuple[str, bytes]:
        """Return the page of a problem: its media type and its bytes."""
        values = {"code": code, "detail": detail, "way": way_on(scope, code)}
        return HTML, self.text(scope, "problem.html", values).encode()

    def text(self, scope: HTTPScope, template: str, values: Mapping[str, object]) -> str:
        """Return a template's text for whoever asks."""
        context = self._context(scope)
        return self._templates.get_template(template).render(context | dict(values))

    def _context(self, scope: HTTPScope) -> dict[str, object]:
        words, caller = words_for(scope), caller_of(scope)
        return {
            "t": words,
            "told_state": partial(_state, words),
            "languages": LANGUAGES,
            "path": scope["path"],
            "asked": quote(asked_for(scope), safe=""),
            "caller": caller,
            "may_change": caller is not None and caller.role >= Role.OPERATOR,
            "is_admin": caller is not None and caller.role >= Role.ADMIN,
            "csrf": caller.session.csrf if caller and caller.session else "",
            "confirmation": partial(token_urlsafe, 12),
        }


def caller_of(scope: HTTPScope) -> Caller | None:
    """Return who asks."""
    caller: Caller | None = scope["state"].get("caller")
    return caller


def asked_for(scope: HTTPScope) -> str:
    """Return the address that was asked for, with its query."""
    query = scope["query_string"].decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")


def way_on(scope: HTTPScope, code: str) -> Way:
    """Return where a problem's page leads.

    A look may be asked for again as it was. Sending a form again is its page's to offer, so a
    change leads to the list that it was begun from.
    """
    if code != "TEMPORARILY_UNAVAILABLE":
        return Way("drops", "/drops")
    if scope["method"] == "GET":
        return Way("again", inside(asked_for(scope)))
    top = scope["path"].split("/")[1]
    return Way("list", f"/{top}") if top in LISTS else Way("drops", "/drops")


def words_for(scope: HTTPScope) -> Words:
    """Return the words that a request is answered in."""
    sent = {b"cookie": "", b"accept-language": ""}
    for name, value in scope["headers"]:
        if name in sent:
            sent[name] = value.decode("latin-1")
    return words_of(language_of(sent[b"cookie"], sent[b"accept-language"]))


def moment(at: datetime | float | None) -> Markup:
    """Return a time as UTC; the page's script turns it into the reader's own zone."""
    if at is None:
        return Markup("–")
    if isinstance(at, int | float):
        at = datetime.fromtimestamp(at, UTC)
    at = at.astimezone(UTC)
    template = Markup('<time datetime="{}">{}</time>')
    return template.format(at.isoformat(), at.strftime("%Y-%m-%d %H:%M:%S UTC"))


def go(path: str) -> Redirect:
    """Return an answer that sends a browser on, after a change."""
    return Redirect(path, status_code=303)


def inside(target: str) -> str:
    """Return an address of this console, whatever was asked for: no other host is ever led to."""
    parts = urlsplit(target)
    bad = parts.scheme or parts.netloc or not target.startswith("/") or target[1:2] in ("/", "\\")
    return "/drops" if bad or any(ord(each) < 32 for each in target) else target


def _state(words: Words, kind: str, name: object) -> str:
    """Return the word for a state; the state itself where there is none."""
    return words.get(f"{kind}.{name}") or str(name)
