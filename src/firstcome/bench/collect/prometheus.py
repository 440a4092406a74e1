"""Prometheus as a store: remote write 1.0, a snappy block of one protobuf message.

The message is so small that it is written by hand: a WriteRequest is series, a series is labels
and samples (prompb/types.proto). Anything that takes remote write will do: Mimir, Thanos,
VictoriaMetrics. Writing the same samples again changes nothing.
"""

import struct
from collections.abc import Mapping, Sequence

import cramjam

from firstcome.bench.collect.endpoint import Endpoint
from firstcome.bench.collect.samples import Sample
from firstcome.bench.collect.series import Series, series_of

WRITE_PATH = "/api/v1/write"  # Prometheus' own, where the address names none
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "firstcome-bench",
}
_VARINT, _FIXED64, _BYTES = 0, 1, 2  # protobuf's wire types


class PrometheusStore:
    """A server that takes remote write; started with --web.enable-remote-write-receiver."""

    def __init__(self, url: str) -> None:
        """`url`: the server's, or with the whole path where it takes remote write."""
        endpoint = Endpoint.of(url)
        self._endpoint = endpoint._replace(path=endpoint.path or WRITE_PATH)
        self.name = f"Prometheus at {endpoint.server}"
        there = self._endpoint
        self.k6_output = "prometheus", f"{there.scheme}://{there.server}{there.path}"

    def write(self, labels: Mapping[str, str], samples: Sequence[Sample]) -> None:
        """Send all of them in one request. Raises Unavailable, or Refused for good."""
        body = cramjam.snappy.compress_raw(write_request(labels, samples))
        self._endpoint.post(self._endpoint.path, bytes(body), HEADERS)


def write_request(labels: Mapping[str, str], samples: Sequence[Sample]) -> bytes:
    """Return the WriteRequest, not yet compressed."""
    return b"".join(_field(1, _series(series)) for series in series_of(labels, samples))


def _series(series: Series) -> bytes:
    labels = sorted({"__name__": series.name, **series.labels}.items())
    parts = [
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels
    ]
    parts += [_field(2, _sample(at_ms, value)) for at_ms, value in series.points]
    return b"".join(parts)


def _sample(at_ms: int, value: float) -> bytes:
    return (
        bytes((1 << 3 | _FIXED64,))
        + struct.pack("<d", value)
        + bytes((2 << 3 | _VARINT,))
        + _varint(at_ms)
    )


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | _BYTES,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
