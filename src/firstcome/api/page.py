"""The page /docs: the OpenAPI description as one HTML document that loads nothing."""

from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from litestar import Request, Router
from litestar.datastructures import ResponseHeader
from litestar.enums import MediaType
from litestar.openapi.plugins import OpenAPIRenderPlugin


class Page(OpenAPIRenderPlugin):
    """Shows the description where the router of the documentation stands."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        return page_of(openapi_schema).encode()


def router() -> Router:
    """Return the router of /docs; browsers are told that its page loads nothing."""
    policy = ResponseHeader(
        name="content-security-policy", value="default-src 'none'; style-src 'unsafe-inline'"
    )
    return Router(
        path="/docs", route_handlers=[], response_headers=[policy], include_in_schema=False
    )


def page_of(schema: dict[str, Any]) -> str:
    """Return the page for an OpenAPI description."""
    return Template(_template()).substitute(
        title=escape(schema["info"]["title"]),
        version=escape(schema["info"]["version"]),
        description=escape(schema["info"].get("description", "")),
        operations="\n".join(
            _operation(method, path, operation)
            for path, methods in schema["paths"].items()
            for method, operation in methods.items()
        ),
        documents="\n".join(
            _document(name, document)
            for name, document in sorted(schema["components"]["schemas"].items())
        ),
    )


@cache
def _template() -> str:
    return files("firstcome.api").joinpath("page.html").read_text("utf-8")


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(_said(answer))}</td></tr>"
        for status, answer in sorted(operation["responses"].items())
    )
    parameters = "".join(
        f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])})</li>"
        for each in operation.get("parameters", [])
    )
    token = "" if operation.get("security") == [] else "<p>Needs a token.</p>"
    return (
        f"<section><h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
        f"<p>{escape(operation.get('summary', ''))}</p>"
        f"<p>{escape(operation.get('description', ''))}</p>{token}"
        f"<ul>{parameters}</ul><table>{answers}</table></section>"
    )


def _said(answer: dict[str, Any]) -> str:
    documents = [
        content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        for content in answer.get("content", {}).values()
    ]
    return " ".join([*filter(None, documents), "-", answer["description"]])


def _document(name: str, document: dict[str, Any]) -> str:
    fields = "".join(
        f"<li><code>{escape(field)}</code></li>" for field in document.get("properties", {})
    ) or "".join(f"<li><code>{escape(str(each))}</code></li>" for each in document.get("enum", []))
    return f"<section><h3>{escape(name)}</h3><ul>{fields}</ul></section>"
