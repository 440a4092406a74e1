"""Where samples can go while a run is on: any number of stores, named on the command line.

A store only has to take samples; `feed` keeps its troubles away from the run.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from firstcome.bench.collect.influx import InfluxStore
from firstcome.bench.collect.samples import Sample
from firstcome.errors import InvalidSettings


class Store(Protocol):
    """A server outside that keeps samples; `name` is for people and holds no password."""

    name: str
    k6_output: tuple[str, str]  # "prometheus" or "influxdb", and where k6 writes; no credentials

    def write(self, labels: Mapping[str, str], samples: Sequence[Sample]) -> None:
        """Hand them over, within seconds; the same again does no harm.

        Raises Unavailable when trying again may help, Refused when it cannot.
        """


def stores_of(prometheus: str | None, influx: str | None) -> list[Store]:
    """Return those that an operator named: URL of a Prometheus, URL/DATABASE of an InfluxDB.

    Nothing is sent yet. Raises InvalidSettings for an address that cannot be one.
    """
    found: list[Store] = []
    if prometheus:
        found.append(_prometheus(prometheus))
    if influx:
        server, _, database = influx.rstrip("/").rpartition("/")
        if server.endswith("/") or not server:
            raise InvalidSettings("an InfluxDB is named with its database: http://HOST:8086/k6")
        found.append(InfluxStore(server, database))
    return found


def _prometheus(url: str) -> Store:
    try:
        from firstcome.bench.collect.prometheus import PrometheusStore
    except ModuleNotFoundError as error:  # only remote write needs the compression
        raise InvalidSettings(
            f"{error.name} is missing, which remote write needs: pip install 'firstcome[bench]'"
        ) from error
    return PrometheusStore(url)
