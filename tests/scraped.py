"""What a process tells Prometheus."""

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """One reading."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self._families = {
            f"{each.name}_total" if each.type == "counter" else each.name
            for each in families
            if each.samples
        }
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def names(self, prefix: str) -> set[str]:
        """Return the metrics of which there is a series."""
        return {name for name in self._families if name.startswith(prefix)}

    def value(self, name: str, **labels: str) -> float:
        """Return one sample; labels as keyword arguments, all of them. 0: there is none."""
        return self._values.get((name, frozenset(labels.items())), 0.0)


def scraped(url: str) -> Scraped:
    """Read a process' metrics."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - the stack's own address
        return Scraped(answer.read().decode())
