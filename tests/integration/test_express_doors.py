"""Both doors answer alike: every request of the table, byte for byte, over real sockets."""

from collections.abc import Callable, Iterator

import pytest
from express_stage import ANSWERS, STANDINGS, Seen, Stage, request, serving, settings_of

pytestmark = pytest.mark.integration

Made = Callable[[Stage], bytes]
JSON = "content-type: application/json"


def _claim(*headers: str, body: bytes = b"", path: str = "/v1/campaigns/1/issuances") -> Made:
    return lambda stage: request(
        "POST", path, f"authorization: Bearer {stage.token()}", *headers, body=body
    )


def _get(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> Made:
    return lambda stage: request(
        method, path, f"Authorization: bearer {stage.token()}", *headers, body=body
    )


def _bare(method: str, path: str, *headers: str) -> Made:
    return lambda _: request(method, path, *headers)


CLAIMS: dict[str, tuple[Made, int]] = {
    "no body": (_claim(), 202),
    "empty body": (_claim("content-length: 0"), 202),
    "empty object": (_claim(JSON, body=b"{}"), 202),
    "spaces in the object": (_claim(JSON, body=b" { } "), 202),
    "charset": (_claim("Content-Type: application/JSON; charset=utf-8", body=b"{}"), 202),
    "chunked": (
        _claim(JSON, "transfer-encoding: chunked", body=b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
        202,
    ),
    "chunked, empty": (_claim("transfer-encoding: chunked", body=b"0\r\n\r\n"), 202),
    "a field": (_claim(JSON, body=b'{"stock":1}'), 400),
    "a list": (_claim(JSON, body=b"[]"), 400),
    "bad JSON": (_claim(JSON, body=b"{"), 400),
    "bad UTF-8": (_claim(JSON, body=b'{"\xff":1}'), 400),
    "deep JSON": (_claim(JSON, body=b"[" * 4000), 400),
    "text": (_claim("content-type: text/plain", body=b"{}"), 415),
    "no type": (_claim(body=b"{}"), 415),
    "too large": (_claim(JSON, body=b" " * 4097), 413),
    "too large, chunked": (
        _claim(JSON, "transfer-encoding: chunked", body=b"1001\r\n%b\r\n0\r\n\r\n" % (b" " * 4097)),
        413,
    ),
    "key": (_claim("Idempotency-Key: 7b0c"), 202),
    "quoted key": (_claim('Idempotency-Key: "7b0c"'), 202),
    "empty key": (_claim("Idempotency-Key: "), 400),
    "empty quoted key": (_claim('Idempotency-Key: ""'), 400),
    "key with a space": (_claim("Idempotency-Key: a b"), 400),
    "key beyond ASCII": (_claim("Idempotency-Key: caf\xe9"), 400),
    "long key": (_claim("Idempotency-Key: " + "k" * 255), 202),
    "too long key": (_claim("Idempotency-Key: " + "k" * 256), 400),
    "two keys": (_claim("Idempotency-Key: a", "Idempotency-Key: b"), 400),
    "two types": (_claim(JSON, JSON, body=b"{}"), 400),
    "two tokens": (_claim("Authorization: Bearer x"), 400),
    "no token": (_bare("POST", "/v1/campaigns/1/issuances"), 401),
    "no bearer": (_bare("POST", "/v1/campaigns/1/issuances", "authorization: Basic eDp5"), 401),
    "bad token": (_bare("POST", "/v1/campaigns/1/issuances", "authorization: Bearer x.y.z"), 401),
    "huge token": (
        _bare("POST", "/v1/campaigns/1/issuances", "authorization: Bearer " + "a" * 8193),
        401,
    ),
    "header of the other mode": (
        _bare("POST", "/v1/campaigns/1/issuances", "x-user-id: somebody"),
        401,
    ),
    "expired token": (
        lambda stage: request(
            "POST",
            "/v1/campaigns/1/issuances",
            f"authorization: Bearer {stage.token(expires_in_seconds=-60)}",
        ),
        401,
    ),
    "bad user id": (
        lambda stage: request(
            "POST", "/v1/campaigns/1/issuances", f"authorization: Bearer {stage.token('a b')}"
        ),
        400,
    ),
    "long user id": (
        lambda stage: request(
            "POST", "/v1/campaigns/1/issuances", f"authorization: Bearer {stage.token('u' * 65)}"
        ),
        400,
    ),
    "query": (_claim(path="/v1/campaigns/1/issuances?utm=1"), 202),
    "percent sign": (_claim(path="/v1/campaigns/%31/issuances"), 202),
    "absolute form": (_claim(path="http://coupons.example/v1/campaigns/1/issuances"), 202),
    "slash at the end": (_claim(path="/v1/campaigns/1/issuances/"), 202),
    "close": (_claim("connection: close"), 202),
    "upgrade": (_claim("connection: upgrade", "upgrade: websocket"), 202),
    "origin": (_claim("origin: https://shop.example"), 202),
    "other origin": (_claim("origin: https://evil.example"), 202),
    "origin without token": (
        _bare("POST", "/v1/campaigns/1/issuances", "origin: https://shop.example"),
        401,
    ),
    "preflight": (
        _bare(
            "OPTIONS",
            "/v1/campaigns/1/issuances",
            "origin: https://shop.example",
            "access-control-request-method: POST",
        ),
        204,
    ),
    "other preflight": (
        _bare(
            "OPTIONS",
            "/v1/campaigns/1/issuances",
            "origin: https://evil.example",
            "access-control-request-method: POST",
        ),
        204,
    ),
    "options": (_bare("OPTIONS", "/v1/campaigns/1/issuances"), 204),
    "head": (_bare("HEAD", "/v1/campaigns/1/issuances"), 405),
    "get": (_bare("GET", "/v1/campaigns/1/issuances"), 405),
    "delete": (_bare("DELETE", "/v1/campaigns/1/issuances"), 405),
    "odd method": (_bare("PURGE", "/v1/campaigns/1/issuances"), 405),
}
OUTCOMES = {
    f"claim in campaign {number}": (_claim(path=f"/v1/campaigns/{number}/issuances"), None)
    for number in ANSWERS
} | {
    f"status in campaign {number}": (_get(f"/v1/campaigns/{number}/issuances/me"), None)
    for number in STANDINGS
}
NUMBERS = {
    f"campaign {number}": (_claim(path=f"/v1/campaigns/{number}/issuances"), 404)
    for number in ("0", "01", "-1", "1.0", "x", "%20", "9007199254740993", "9" * 40, "1%00", "+1")
}
STATUSES = {
    "wait": (_get("/v1/campaigns/2/issuances/me?wait=1"), 200),
    "wait with a fraction": (_get("/v1/campaigns/2/issuances/me?wait=0.25"), 200),
    "longest wait": (_get("/v1/campaigns/2/issuances/me?wait=30"), 200),
    "too long a wait": (_get("/v1/campaigns/2/issuances/me?wait=31"), 400),
    "negative wait": (_get("/v1/campaigns/2/issuances/me?wait=-1"), 400),
    "no number": (_get("/v1/campaigns/2/issuances/me?wait=soon"), 400),
    "not a number": (_get("/v1/campaigns/2/issuances/me?wait=nan"), 400),
    "for ever": (_get("/v1/campaigns/2/issuances/me?wait=inf"), 400),
    "empty wait": (_get("/v1/campaigns/2/issuances/me?wait="), 400),
    "two waits": (_get("/v1/campaigns/2/issuances/me?wait=1&wait=2"), 400),
    "other parameter": (_get("/v1/campaigns/2/issuances/me?x=1&wait=1"), 200),
    "empty query": (_get("/v1/campaigns/2/issuances/me?"), 200),
    "head of a status": (_get("/v1/campaigns/2/issuances/me", method="HEAD"), 200),
    "head of no status": (_get("/v1/campaigns/5/issuances/me", method="HEAD"), 404),
    "get with a body": (_get("/v1/campaigns/2/issuances/me", body=b"whatever"), 200),
    "get with a large body": (_get("/v1/campaigns/2/issuances/me", body=b"x" * 4096), 200),
    "get with a bad key": (_get("/v1/campaigns/2/issuances/me", "idempotency-key: a b"), 200),
    "status without token": (_bare("GET", "/v1/campaigns/2/issuances/me"), 401),
    "post to a status": (_bare("POST", "/v1/campaigns/2/issuances/me"), 405),
    "origin of a status": (
        _get("/v1/campaigns/2/issuances/me", "origin: https://shop.example"),
        200,
    ),
}
TABLE = CLAIMS | OUTCOMES | NUMBERS | STATUSES


@pytest.fixture(scope="module")
def doors() -> Iterator[tuple[Stage, Stage]]:
    settings = settings_of(cors_origins=["https://shop.example"])
    with serving(settings) as express, serving(settings, lane=False) as asgi:
        yield express, asgi


def _answer_of(stage: Stage, made: Made) -> Seen:
    sent = made(stage)
    with stage.wire() as wire:
        return wire.send(sent).answer(has_body=not sent.startswith(b"HEAD"))


@pytest.mark.parametrize("case", TABLE)
def test_doors_answer_alike(case: str, doors: tuple[Stage, Stage]) -> None:
    made, status = TABLE[case]
    express, asgi = (_answer_of(door, made) for door in doors)
    assert express == asgi
    assert status is None or express.status == status


def test_doors_ask_the_parts_alike(doors: tuple[Stage, Stage]) -> None:
    asked = []
    for door in doors:
        door.parts.claims.clear()
        door.parts.waits.clear()
        for made in (
            _claim("idempotency-key: seven"),
            _claim('idempotency-key: "seven"', path="/v1/campaigns/%31/issuances"),
            _claim(),
            _get("/v1/campaigns/2/issuances/me?wait=2.5"),
            _get("/v1/campaigns/2/issuances/me"),
        ):
            _answer_of(door, made)
        asked.append((list(door.parts.claims), list(door.parts.waits)))
    assert asked[0] == asked[1]
    (claims, waits) = asked[0]
    assert claims[0] == claims[1] == (1, "user-1", claims[0][2])
    assert claims[0][2] > 0
    assert claims[2][2] == 0
    assert waits == [2.5, 0.0]


def test_express_lane_takes_the_plain_requests_itself(doors: tuple[Stage, Stage]) -> None:
    # Else the table would compare ASGI with ASGI.
    express, _ = doors
    scopes: list[str] = []
    inner = express.server.config.loaded_app

    async def watched(scope, receive, send):  # type: ignore[no-untyped-def]
        scopes.append(scope["path"])
        await inner(scope, receive, send)

    express.server.config.loaded_app = watched
    try:
        for made in (_claim(), _get("/v1/campaigns/2/issuances/me?wait=1")):
            _answer_of(express, made)
        assert scopes == []
        _answer_of(express, _claim(path="/v1/campaigns/%31/issuances"))
        assert scopes == ["/v1/campaigns/1/issuances"]
    finally:
        express.server.config.loaded_app = inner
