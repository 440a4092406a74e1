"""How many answers k6's crowd has had so far, read from the port that a running k6 opens.

A look costs four small requests, so one a second may be taken while a load runs. A k6 that
does not answer (not yet, or not any more) is no error: there is nothing to see then.
"""

import http.client
import time
from typing import NamedTuple

import msgspec

ANSWER_SECONDS = 0.5
# Two looks that follow closer on each other would make a peak of what came late.
APART_SECONDS = 0.9


class Counts(NamedTuple):
    """Answers so far, by kind."""

    served: int = 0
    refused: int = 0
    overloaded: int = 0
    faults: int = 0


class Pulse:
    """The counters of one running k6. Blocking."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.address = f"{host}:{port}"
        self._before: tuple[float, int] | None = None
        self.requests_per_second_max: float | None = None

    def look(self) -> Counts | None:
        """Return the counts of now, and note the pace since the last look; None: not to be had."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS)
        try:
            at = time.monotonic()
            counts = Counts(*(self._count(connection, name) for name in Counts._fields))
        except (OSError, http.client.HTTPException, msgspec.MsgspecError, LookupError):
            return None
        finally:
            connection.close()
        self.note(at, sum(counts))
        return counts

    def note(self, at: float, answers: int) -> None:
        """Note how many answers there were at a time (time.monotonic)."""
        if self._before is not None:
            since, before = self._before
            if at - since < APART_SECONDS:
                return
            pace = round((answers - before) / (at - since), 1)
            self.requests_per_second_max = max(pace, self.requests_per_second_max or 0.0)
        self._before = at, answers

    def _count(self, connection: http.client.HTTPConnection, name: str) -> int:
        connection.request("GET", f"/v1/metrics/{name}")
        response = connection.getresponse()
        content = response.read()
        if response.status == 404:  # it has not been counted yet
            return 0
        return int(msgspec.json.decode(content)["data"]["attributes"]["sample"]["count"])
