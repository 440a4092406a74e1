"""InfluxDB 1 as a store: line protocol over HTTP, one measurement a metric, one field `value`.

That is how k6 writes to it as well, so both can share a database; it is made when it is not there.
Writing the same samples again changes nothing.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from firstcome.bench.collect.endpoint import Endpoint
from firstcome.bench.collect.samples import Sample
from firstcome.bench.collect.series import Series, series_of
from firstcome.errors import InvalidSettings, Refused, Unavailable

_DATABASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # nothing that would need quoting
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_LINES = {"Content-Type": "text/plain; charset=utf-8"}


class InfluxStore:
    """A database of an InfluxDB 1 server."""

    def __init__(self, url: str, database: str) -> None:
        """`url`: the server's. Raises InvalidSettings for a name that would need quoting."""
        if not _DATABASE.fullmatch(database):
            raise InvalidSettings(
                f"{database!r} cannot be the name of an InfluxDB database here: "
                "letters, digits, '_', '.' and '-' can"
            )
        self._endpoint = Endpoint.of(url)
        self._database = database
        self._is_made = False
        there = self._endpoint
        self.name = f"InfluxDB at {there.server}/{database}"
        self.k6_output = "influxdb", f"{there.scheme}://{there.server}{there.path}/{database}"

    def write(self, labels: Mapping[str, str], samples: Sequence[Sample]) -> None:
        """Send all of them in one request. Raises Unavailable, or Refused for good."""
        if not self._is_made:
            self._make()
        query = urlencode({"db": self._database, "precision": "ms"})
        try:
            self._post(f"/write?{query}", lines(labels, samples).encode(), _LINES)
        except Refused as error:
            if "database not found" not in str(error):
                raise
            self._is_made = False  # somebody dropped it
            raise Unavailable(str(error)) from error

    def _make(self) -> None:
        query = urlencode({"q": f'CREATE DATABASE "{self._database}"'})
        self._post("/query", query.encode(), _FORM)
        self._is_made = True

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        self._endpoint.post(self._endpoint.path + path, body, headers)


def lines(labels: Mapping[str, str], samples: Sequence[Sample]) -> str:
    """Return the samples in line protocol, one point a line."""
    return "".join(line for series in series_of(labels, samples) for line in _lines(series))


def _lines(series: Series) -> list[str]:
    tags = [f"{_tag(name)}={_tag(value)}" for name, value in series.labels.items()]
    head = ",".join([series.name, *tags])
    return [f"{head} value={float(value)!r} {at_ms}\n" for at_ms, value in series.points]


def _tag(text: str) -> str:
    # The protocol has no way to write a line break, or a backslash at the end.
    plain = " ".join(text.splitlines()).replace("\\", "/")
    return re.sub(r"([,= ])", r"\\\1", plain)
