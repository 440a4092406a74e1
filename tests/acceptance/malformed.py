"""Requests that no proper client sends, of every kind, from a seed.

Each is bytes for one connection. They use real tokens where that gets them deeper into the
system: a parser is tested by nonsense, the rest by sense with one thing wrong.
"""

import json
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import jwt
from oddities import BODIES, CHUNKS, HEADERS, LENGTHS, NUMBERS, PATHS, PREFACES, WAITS, WORDS


class Malformed(NamedTuple):
    """What to send on one connection, and its kind for the report."""

    kind: str
    content: bytes


class Nonsense:
    """Makes requests about one campaign; the same seed makes the same ones."""

    def __init__(self, seed: int, campaign_id: int, secret: str) -> None:
        """`secret` signs users' tokens."""
        self._random = Random(seed)
        self._claim = f"/v1/campaigns/{campaign_id}/issuances"
        self._secret = secret

    def requests(self, count: int) -> list[Malformed]:
        """Return that many, of all kinds."""
        kinds: list[Callable[[], bytes]] = [
            *(self.method, self.path, self.number, self.wait, self.header, self.body, self.length),
            *(self.chunks, self.token, self.truncated, self.mutated, self.pipelined, self.preface),
        ]
        picked = [kinds[n % len(kinds)] for n in range(count)]
        return [Malformed(kind.__name__, kind()) for kind in picked]

    def method(self) -> bytes:
        return self._request(method=self._random.choice(WORDS))

    def path(self) -> bytes:
        return self._request(self._method(), self._random.choice(PATHS))

    def number(self) -> bytes:
        end = self._random.choice(("/issuances", "/issuances/me", "", "/issuances?x"))
        return self._request(self._method(), f"/v1/campaigns/{self._random.choice(NUMBERS)}{end}")

    def wait(self) -> bytes:
        return self._request("GET", f"{self._claim}/me?wait={self._random.choice(WAITS)}")

    def header(self) -> bytes:
        return self._request(self._method(), None, self._random.choice(HEADERS))

    def body(self) -> bytes:
        body = self._random.choice(BODIES)
        kind = self._random.choice(("application/json", "text/plain", "application/json; q=\0", ""))
        length = len(body.encode("latin-1"))
        return self._request(
            "POST", None, f"Content-Type: {kind}", f"Content-Length: {length}", body=body
        )

    def length(self) -> bytes:
        length = f"Content-Length: {self._random.choice(LENGTHS)}"
        more = self._random.choice(((), ("Transfer-Encoding: chunked",)))
        return self._request("POST", None, length, *more, body="{}")

    def chunks(self) -> bytes:
        kind = "Content-Type: application/json"
        return self._request(
            "POST", None, "Transfer-Encoding: chunked", kind, body=self._random.choice(CHUNKS)
        )

    def token(self) -> bytes:
        return self._request(self._method(), None, token=self._bad_token())

    def truncated(self) -> bytes:
        whole = self._request("POST", None, "Content-Length: 2", body="{}")
        return whole[: self._random.randrange(len(whole))]

    def mutated(self) -> bytes:
        whole = bytearray(self._request("POST", None, "Idempotency-Key: k", "Content-Length: 0"))
        for _ in range(self._random.randint(1, 6)):
            at = self._random.randrange(len(whole))
            act = self._random.randrange(3)
            if act == 0:
                whole[at] = self._random.randrange(256)
            elif act == 1:
                del whole[at]
            else:
                whole[at:at] = self._random.randbytes(self._random.randint(1, 4))
        return bytes(whole)

    def pipelined(self) -> bytes:
        good = self._request("GET", self._claim + "/me")
        piece = self._random.choice(
            (self.chunks, self.header, self.preface, self.body, self.mutated)
        )
        return good * self._random.choice((1, 3, 400)) + piece() + good

    def preface(self) -> bytes:
        return self._random.choice(PREFACES)

    def _request(
        self,
        method: str = "POST",
        path: str | None = None,
        *headers: str,
        body: str = "",
        token: str | None = None,
    ) -> bytes:
        if token is None:
            token = self._signed({"sub": f"fuzz-{self._random.randrange(50)}"})
        target = self._claim if path is None else path
        lines = [
            f"{method} {target} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {token}",
            *headers,
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode(
            "utf-8" if "\u0661" in target else "latin-1"
        )

    def _method(self) -> str:
        return self._random.choice(("GET", "POST", "POST", "HEAD"))

    def _signed(self, claims: dict[str, Any]) -> str:
        usual = {"iss": "firstcome", "aud": "firstcome", "iat": 1_700_000_000, "exp": 4_000_000_000}
        merged = {k: v for k, v in (usual | claims).items() if v is not ...}
        payload = json.dumps(merged).encode()
        return jwt.api_jws.encode(payload, self._secret, "HS256", {"typ": "JWT"})

    def _bad_token(self) -> str:
        subjects = (
            1,
            None,
            "",
            "a" * 65,
            "a b",
            "a\0",
            "\u00e9",
            ["a"],
            {"a": 1},
            True,
            ...,
            "../x",
        )
        changes: tuple[dict[str, Any], ...] = (
            *({"sub": subject} for subject in subjects),
            *({"exp": exp} for exp in (0, -1, "x", None, 1e400, 2**70, ..., [], "4000000000")),
            *({"nbf": nbf} for nbf in (4_000_000_000, "x", None, 2**70)),
            *({"aud": aud} for aud in ("x", [], ["firstcome", 1], None, ..., {})),
            *({"iss": iss} for iss in ("x", None, ..., ["firstcome"], 5)),
        )
        signed = self._signed({"sub": "fuzz"} | self._random.choice(changes))
        head, claims, signature = signed.split(".")
        return self._random.choice(
            (
                *((signed,) * 6),
                *(
                    "",
                    ".",
                    "..",
                    "a.b.c",
                    "a" * 15_000,
                    "\xff",
                    f"{head}.{claims}",
                    f"{claims}.{head}.{signature}",
                ),
                *(
                    f"{head}.{claims}.",
                    f"{head}..{signature}",
                    f"{head}.{claims}.{signature}.x",
                    signed + "=",
                ),
                *(
                    f"{head[:-2]}.{claims}.{signature}",
                    f"{head}.{claims[:-2]}.{signature}",
                    signed[:-1],
                ),
            )
        )
