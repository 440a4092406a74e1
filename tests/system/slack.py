"""A stand-in for Slack's incoming webhooks: takes messages, and refuses what Slack would refuse.

It knows what its documentation says of a payload with attachments. What it took can be waited for.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from firstcome.drill.eventually import eventually

PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
TEXT_LETTERS_MAX = 3000
FIELDS = {"attachments", "channel", "username", "icon_emoji", "icon_url", "link_names", "text"}
PARTS = {
    *("color", "fallback", "footer", "mrkdwn_in", "pretext", "text", "title", "title_link"),
    *("actions", "callback_id", "fields", "image_url", "thumb_url"),
}
COLOR = re.compile(r"good|warning|danger|#[0-9a-fA-F]{6}")


class Message(NamedTuple):
    """One message as people see it."""

    at: float  # monotonic
    color: str
    title: str
    title_link: str
    text: str

    @property
    def links(self) -> dict[str, str]:
        """Addresses by the words that stand for them."""
        return {words: url for url, words in re.findall(r"<([^|>]+)\|([^>]+)>", self.text)}


class Slack:
    """Listens on loopback from its making until `close`."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.refused: list[str] = []
        slack = self

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.headers.get_content_type()
                status, words = slack.take(self.path, kind, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(words)))
                self.end_headers()
                self.wfile.write(words.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
        self.url = f"http://127.0.0.1:{self._server.server_port}{PATH}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, kind: str, body: bytes) -> tuple[int, str]:
        """Return status and words of the answer; keep the message, or why it was refused."""
        if path != PATH:
            return self._refuse(404, f"no_service: {path}")
        if kind != "application/json":
            return self._refuse(400, f"invalid_payload: {kind}")
        try:
            document = json.loads(body)
        except ValueError:
            return self._refuse(400, "invalid_payload: not JSON")
        if fault := fault_of(document):
            return self._refuse(400, f"invalid_attachments: {fault}")
        now = time.monotonic()
        self.messages += [
            Message(now, *(part[name] for name in ("color", "title", "title_link", "text")))
            for part in document["attachments"]
        ]
        return 200, "ok"

    def heard(self, title: str, seconds: float, since: float = 0.0) -> Message:
        """Wait for a message with this title after a monotonic time. Raises NotSeen."""
        found: list[Message] = eventually(
            f"Slack hears {title!r}",
            lambda: self.messages,
            lambda messages: any(each.title == title and each.at >= since for each in messages),
            seconds,
        )
        return next(each for each in found if each.title == title and each.at >= since)

    def _refuse(self, status: int, words: str) -> tuple[int, str]:
        self.refused.append(words)
        return status, words


def fault_of(document: Any) -> str:
    """Return what is wrong with a payload; '': nothing."""
    if not isinstance(document, dict) or not document.keys() <= FIELDS:
        return f"fields {document}"
    parts = document.get("attachments")
    if not isinstance(parts, list) or not 0 < len(parts) <= 20:
        return "no attachments"
    return next((fault for part in parts for fault in _faults_of(part)), "")


def _faults_of(part: dict[str, Any]) -> Iterator[str]:
    if not part.keys() <= PARTS:
        yield f"parts {sorted(part)}"
    for name in ("fallback", "title", "text"):
        said = part.get(name) or ""
        if not said or "{{" in said or "<no value>" in said:
            yield f"unfilled {name}: {said!r}"
    if not COLOR.fullmatch(part.get("color", "")):
        yield f"color {part.get('color')}"
    if not part.get("title_link", "").startswith("http"):
        yield f"title_link {part.get('title_link')}"
    if len(part.get("text", "")) > TEXT_LETTERS_MAX:
        yield "text would be cut"
