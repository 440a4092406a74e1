"""What stores are sent: the bytes of remote write and of line protocol, and where they go."""

import socket
import struct
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import cramjam
import pytest

from firstcome.bench.collect import endpoint
from firstcome.bench.collect.influx import InfluxStore, lines
from firstcome.bench.collect.prometheus import PrometheusStore, write_request
from firstcome.bench.collect.samples import Sample
from firstcome.bench.collect.stores import stores_of
from firstcome.errors import InvalidSettings, Refused, Unavailable

pytestmark = pytest.mark.unit

LABELS = {"run": "r 1", "engine": "kafka", "scenario": ""}
SAMPLES = [
    Sample(1_700_000_001.5, {"issued_total": {"": 300.0}}),
    Sample(
        1_700_000_000.5,
        {
            "issued_total": {"": 7.0},
            "requests_per_second": {"served": 0.25, "refused": float("nan")},
        },
    ),
]


class Heard(NamedTuple):
    """One request as a server got it."""

    target: str
    headers: dict[str, str]
    body: bytes


class Server:
    """A real HTTP server that keeps what it hears, and answers as told."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answers: list[tuple[int, bytes]] = []  # for the next requests; then 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.heard.append(Heard(self.path, dict(self.headers), body))
                status, text = outer.answers.pop(0) if outer.answers else (204, b"")
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._http.server_port}"
        self._thread = Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own for a test."""
    found = Server()
    yield found
    found.close()


def fields(message: bytes) -> list[tuple[int, int | float | bytes]]:
    """Return the fields of a protobuf message; written from the format's description."""
    found: list[tuple[int, int | float | bytes]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    while at < len(message):
        tag = varint()
        match tag & 7:
            case 0:
                found.append((tag >> 3, varint()))
            case 1:
                found.append((tag >> 3, struct.unpack_from("<d", message, at)[0]))
                at += 8
            case 2:
                length = varint()
                found.append((tag >> 3, message[at : at + length]))
                at += length
            case other:
                raise AssertionError(f"wire type {other}")
    return found


def decoded(message: bytes) -> list[tuple[list[tuple[str, str]], list[tuple[float, int]]]]:
    """Return labels and points of each series of a WriteRequest, in the order of the bytes."""
    found = []
    for number, series in fields(message):
        assert number == 1
        assert isinstance(series, bytes)
        labels, points = [], []
        for part, content in fields(series):
            assert isinstance(content, bytes)
            inner = dict(fields(content))
            if part == 1:
                name, value = inner[1], inner[2]
                assert isinstance(name, bytes)
                assert isinstance(value, bytes)
                labels.append((name.decode(), value.decode()))
            else:
                points.append((inner[1], inner[2]))
        found.append((labels, points))
    return found


def test_remote_write_has_sorted_labels_and_points_in_order_of_time() -> None:
    issued, served = decoded(write_request(LABELS, SAMPLES))
    assert issued == (
        [("__name__", "firstcome_bench_issued_total"), ("engine", "kafka"), ("run", "r 1")],
        [(7.0, 1_700_000_000_500), (300.0, 1_700_000_001_500)],
    )
    assert served == (
        [
            ("__name__", "firstcome_bench_requests_per_second"),
            ("answer", "served"),
            ("engine", "kafka"),
            ("run", "r 1"),
        ],
        [(0.25, 1_700_000_000_500)],
    )


def test_remote_write_has_the_bytes_of_the_format() -> None:
    # Written out by hand from prompb/types.proto: one label, and 1.0 at 300 ms.
    message = write_request({}, [Sample(0.3, {"issued_total": {"": 1.0}})])
    name = b"\x0a\x08__name__\x12\x1cfirstcome_bench_issued_total"
    label = b"\x0a" + bytes([len(name)]) + name
    point = b"\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xac\x02"
    series = label + point
    assert message == b"\x0a" + bytes([len(series)]) + series


def test_prometheus_hears_a_snappy_block_with_the_headers_of_remote_write(server: Server) -> None:
    PrometheusStore(f"http://{server.address}").write(LABELS, SAMPLES)
    (heard,) = server.heard
    assert heard.target == "/api/v1/write"
    assert heard.headers["Content-Encoding"] == "snappy"
    assert heard.headers["Content-Type"] == "application/x-protobuf"
    assert heard.headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    assert bytes(cramjam.snappy.decompress_raw(heard.body)) == write_request(LABELS, SAMPLES)


def test_prometheus_is_written_where_its_address_says(server: Server) -> None:
    store = PrometheusStore(f"http://ann:p%40ss@{server.address}/api/v1/push/")
    assert store.k6_output == ("prometheus", f"http://{server.address}/api/v1/push")
    store.write(LABELS, SAMPLES)
    (heard,) = server.heard
    assert heard.target == "/api/v1/push"
    assert heard.headers["Authorization"] == "Basic YW5uOnBAc3M="
    assert "p@ss" not in store.name


def test_lines_escape_what_would_end_a_tag() -> None:
    labels = {"run": "a,b=c d", "engine": "one\ntwo\\", "scenario": ""}
    text = lines(labels, [Sample(1.0005, {"postgres_connections": {"idle in transaction": 3}})])
    assert text == (
        "firstcome_bench_postgres_connections,run=a\\,b\\=c\\ d,engine=one\\ two/,"
        "state=idle\\ in\\ transaction value=3.0 1000\n"
    )


def test_lines_leave_out_what_is_no_number() -> None:
    assert lines({}, SAMPLES) == (
        "firstcome_bench_issued_total value=7.0 1700000000500\n"
        "firstcome_bench_issued_total value=300.0 1700000001500\n"
        "firstcome_bench_requests_per_second,answer=served value=0.25 1700000000500\n"
    )


def test_influxdb_is_asked_once_for_its_database(server: Server) -> None:
    store = InfluxStore(f"http://{server.address}", "k6")
    store.write(LABELS, SAMPLES)
    store.write(LABELS, SAMPLES[:1])
    made, *written = server.heard
    assert made.target == "/query"
    assert parse_qs(made.body.decode()) == {"q": ['CREATE DATABASE "k6"']}
    assert [heard.body.decode() for heard in written] == [
        lines(LABELS, SAMPLES),
        lines(LABELS, SAMPLES[:1]),
    ]
    for heard in written:
        assert urlsplit(heard.target).path == "/write"
        assert parse_qs(urlsplit(heard.target).query) == {"db": ["k6"], "precision": ["ms"]}


def test_influxdb_makes_its_database_again_when_somebody_dropped_it(server: Server) -> None:
    store = InfluxStore(f"http://{server.address}", "k6")
    store.write(LABELS, SAMPLES)
    server.answers = [(404, b'{"error":"database not found: \\"k6\\""}')]
    with pytest.raises(Unavailable):
        store.write(LABELS, SAMPLES)
    store.write(LABELS, SAMPLES)
    paths = [urlsplit(heard.target).path for heard in server.heard]
    assert paths == ["/query", "/write", "/write", "/query", "/write"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, Unavailable), (429, Unavailable), (400, Refused), (302, Refused), (401, Refused)],
)
def test_store_says_whether_trying_again_may_help(
    server: Server, status: int, error: type[Exception]
) -> None:
    server.answers = [(status, b"out of\n order")]
    with pytest.raises(error, match=f"HTTP {status}: out of order"):
        PrometheusStore(f"http://{server.address}").write(LABELS, SAMPLES)


def test_store_that_is_not_there_is_unavailable(server: Server) -> None:
    server.close()
    with pytest.raises(Unavailable, match="no answer"):
        PrometheusStore(f"http://{server.address}").write(LABELS, SAMPLES)


def test_store_that_takes_no_notice_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = PrometheusStore(f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="timed out"):
            store.write(LABELS, SAMPLES)
    assert time.monotonic() - began < 2


def test_stores_are_those_that_were_named() -> None:
    assert stores_of(None, None) == []
    first, second = stores_of("http://127.0.0.1:9090", "https://ann:secret@[::1]:8086/k6/")
    assert first.name == "Prometheus at 127.0.0.1:9090"
    assert second.name == "InfluxDB at [::1]:8086/k6"


@pytest.mark.parametrize(
    ("prometheus", "influx"),
    [
        ("127.0.0.1:9090", None),
        ("ftp://127.0.0.1", None),
        ("http://", None),
        ("http://127.0.0.1:port", None),
        ("http://127.0.0.1/?a=b", None),
        (None, "http://127.0.0.1:8086"),
        (None, "127.0.0.1:8086/k6"),
        (None, 'http://127.0.0.1:8086/a"b'),
        (None, "k6"),
    ],
)
def test_address_that_cannot_be_one_is_refused(prometheus: str | None, influx: str | None) -> None:
    with pytest.raises(InvalidSettings):
        stores_of(prometheus, influx)
