"""k6 itself: it accepts every script, counts every kind of answer, and ends with its caller."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import cramjam
import msgspec
import psutil
import pytest

from firstcome.bench import k6
from firstcome.bench.k6 import K6
from firstcome.bench.k6_command import Outputs, binary, script
from firstcome.bench.k6_pulse import Counts
from firstcome.bench.run import BUILT_IN
from firstcome.bench.scenarios import BY_NAME, SCENARIOS, Scenario
from firstcome.bench.tokens import Signer
from firstcome.errors import Unavailable

pytestmark = pytest.mark.integration

VIRTUAL = [scenario for scenario in SCENARIOS if scenario.virtual_users]


def promise(status: int, word: str, **lines: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    return status, lines, {"campaign_id": 7, "position": 3, "status": word}


def problem(
    status: int, code: str, kind: str = "application/problem+json", body_status: int | None = None
) -> tuple[int, dict[str, str], dict[str, Any]]:
    return status, {"Content-Type": kind}, {"status": body_status or status, "code": code}


# What the server tells a user, by his number, and what it has to count as.
ANSWERS = (
    ("served", promise(202, "REQUESTED")),
    ("served", promise(201, "ISSUED")),
    ("replayed", promise(202, "REQUESTED", **{"Idempotency-Replayed": "true"})),
    ("refused", problem(409, "DUPLICATE_COUPON_ISSUE")),
    ("refused", problem(409, "COUPON_OUT_OF_STOCK")),
    ("refused", problem(409, "CAMPAIGN_NOT_OPEN")),
    ("refused", problem(409, "CAMPAIGN_CLOSED")),
    ("overloaded", problem(429, "TOO_MANY_REQUESTS")),
    ("overloaded", problem(503, "TEMPORARILY_UNAVAILABLE")),
    ("overloaded", problem(503, "OUTCOME_UNKNOWN")),
    ("faults", promise(202, "ISSUED")),
    ("faults", promise(200, "ISSUED")),
    ("faults", (202, {}, {"campaign_id": 7, "status": "REQUESTED"})),
    ("faults", problem(409, "COUPON_OUT_OF_STOCK", kind="application/json")),
    ("faults", problem(409, "COUPON_OUT_OF_STOCK", body_status=503)),
    ("faults", problem(503, "COUPON_OUT_OF_STOCK")),
    ("faults", problem(404, "CAMPAIGN_NOT_FOUND")),
    ("faults", problem(500, "INTERNAL_ERROR")),
    ("faults", None),  # hangs up
)


class Store(BaseHTTPRequestHandler):
    """Takes series, as Prometheus and InfluxDB do; keeps their paths and bodies."""

    taken: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "snappy":
            body = bytes(cramjam.snappy.decompress_raw(body))
        path = self.path.partition("?")[0]
        self.taken[path] = self.taken.get(path, b"") + body
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Teller(BaseHTTPRequestHandler):
    """Answers by the user's number; notes who asked, and with which key."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, str, str | None]]] = []
    answers: ClassVar[tuple[Any, ...]] = ANSWERS

    def do_POST(self) -> None:
        user = self.headers["X-User-Id"]
        self.asked.append((self.path, user, self.headers["Idempotency-Key"]))
        answer = self.answers[int(user[1:]) % len(self.answers)][1]
        if answer is None:
            self.close_connection = True
            return
        status, lines, document = answer
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **lines}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """Serve on a free port until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def teller() -> Iterator[ThreadingHTTPServer]:
    Teller.asked, Teller.answers = [], ANSWERS
    with serving(Teller) as server:
        yield server


def small(name: str, users: int, virtual_users: int, seconds: float, **more: Any) -> Scenario:
    return msgspec.structs.replace(
        BY_NAME[name],
        users=users,
        virtual_users=virtual_users,
        virtual_seconds=seconds,
        **more,
    )


def running() -> list[psutil.Process]:
    """Return the k6 processes that we have left behind."""
    return [child for child in psutil.Process().children() if child.name() == "k6"]


def k6_of(server: ThreadingHTTPServer) -> K6:
    return K6("127.0.0.1", server.server_port, Signer())


@pytest.mark.parametrize("scenario", VIRTUAL, ids=lambda scenario: scenario.name)
def test_k6_accepts_the_script_of_each_scenario(scenario: Scenario) -> None:
    said = subprocess.run(
        [binary(), "inspect", str(script(scenario))], capture_output=True, check=True, timeout=30
    )
    assert list(json.loads(said.stdout)["scenarios"]) == [scenario.name]


def test_k6_counts_every_answer_as_what_it_means(teller: ThreadingHTTPServer) -> None:
    users = 5 * len(ANSWERS)
    heard = k6_of(teller).run(small("spike", users, 4, 10, twice=0.0, campaigns=1), [7], seed=3)
    kinds = Counter({kind: 5 * count for kind, count in Counter(k for k, _ in ANSWERS).items()})
    load = heard.load
    assert load.generator != BUILT_IN
    assert (load.requests, heard.users) == (users, users)
    assert load.served == kinds["served"] + kinds["replayed"]
    assert heard.replayed == kinds["replayed"]
    assert (load.refused, load.overloaded, load.faults) == (
        kinds["refused"],
        kinds["overloaded"],
        kinds["faults"],
    )
    assert heard.accepted_ms.count == kinds["served"]
    assert heard.refused_ms.count == kinds["refused"]
    assert load.http_ms.count == load.requests
    assert heard.accepted == len(heard.promises) == load.served
    assert {promise.user_id for promise in heard.promises} == {
        f"u{user:08d}"
        for user in range(users)
        if ANSWERS[user % len(ANSWERS)][0] in "served replayed"
    }
    assert any("threshold faults" in note for note in heard.notes)
    assert any("fault: " in note for note in heard.notes)


def test_k6_lets_each_user_of_the_crowd_ask_for_his_campaign(teller: ThreadingHTTPServer) -> None:
    Teller.answers = ANSWERS[:1]
    # 150 users of each campaign: a number at which an order of careless strides meets some twice.
    scenario = small("spike", 301, 5, 10, twice=0.25, keyed=0.5, campaigns=2)
    heard = k6_of(teller).run(scenario, [7, 8], seed=3)
    times = Counter(user for _, user, _ in Teller.asked)
    assert set(times) == {f"u{user:08d}" for user in range(301)}
    assert heard.load.requests == len(Teller.asked)
    assert 50 < sum(asked == 2 for asked in times.values()) < 100
    for path, user, key in Teller.asked:
        assert path == f"/v1/campaigns/{7 + int(user[1:]) % 2}/issuances"
        assert key in (None, f"drop-3-{int(user[1:])}")
    keyed = {user for _, user, key in Teller.asked if key}
    assert 120 < len(keyed) < 180
    # Whoever asked twice without a key was promised a coupon twice, which no user may be.
    assert any("threshold checks" in note for note in heard.notes)
    assert heard.accepted == 301


def test_k6_asks_nobody_before_the_opening_second(teller: ThreadingHTTPServer) -> None:
    opens_at = time.time() + 2.0
    heard = k6_of(teller).run(small("spike", 20, 4, 5), [7], seed=1, opens_at=opens_at)
    assert opens_at - 0.01 <= heard.started_at < opens_at + 0.5
    assert heard.load.seconds < 2.0


def test_k6_writes_its_series_where_it_is_told_to(teller: ThreadingHTTPServer) -> None:
    Store.taken = {}
    with serving(Store) as store:
        url = f"http://127.0.0.1:{store.server_port}"
        outputs = Outputs(f"{url}/api/v1/write", f"{url}/k6", {"run": "41", "engine": "queue"})
        k6 = K6("127.0.0.1", teller.server_port, Signer(), outputs)
        k6.run(small("sold-out", 5, 2, 2), [7], seed=1)
    for path, word in (("/api/v1/write", b"k6_served_total"), ("/write", b"served,")):
        assert word in Store.taken[path]
        assert all(word in Store.taken[path] for word in (b"queue", b"sold-out", b"41"))


def test_k6_that_cannot_run_says_why(teller: ThreadingHTTPServer) -> None:
    with pytest.raises(Unavailable, match=r"(?s)exit code 104.*at least 1s"):
        k6_of(teller).run(small("steady", 5, 1, 0.2), [7], seed=1)
    assert Teller.asked == []


def test_k6_ends_when_its_caller_is_interrupted(teller: ThreadingHTTPServer) -> None:
    def interrupt(counts: Counts) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        k6_of(teller).run(small("sold-out", 500, 2, 60), [7], seed=1, watch=interrupt)
    assert running() == []
    assert time.monotonic() - began < 30  # not when its minute is over


def test_k6_that_does_not_end_is_stopped(
    teller: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(k6, "END_SECONDS", -62.5)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="did not end within"):
        k6_of(teller).run(small("sold-out", 500, 2, 60), [7], seed=1)
    assert running() == []
    assert time.monotonic() - began < 30
