"""What a stack consists of: how many of each process, whose Kafka, which relay, who watches."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

from firstcome.settings import RelayMode


@dataclass(frozen=True)
class Shape:
    """What `firstcome up` was asked for."""

    api: int = 1
    recorders: int = 1
    brokers: int = 1
    auth: Literal["jwt", "gateway"] = "jwt"
    broker: Literal["kafka", "external"] = "kafka"
    relay: RelayMode = "polling"
    autoscale: bool = False
    engines_only: bool = False
    monitoring: bool = False
    # For fault drills: ports before engines (see links.py), and variables by role of process.
    links: dict[str, int] = field(default_factory=dict)
    environment: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def connects(self) -> bool:
        """Whether Kafka Connect runs beside our own processes."""
        return self.relay == "debezium" and not self.engines_only

    @property
    def monitors(self) -> bool:
        """Whether Prometheus and Alertmanager watch our own processes."""
        return self.monitoring and not self.engines_only

    def own_processes(self) -> list[str]:
        """Return the names of firstcome's own processes, in the order in which they start."""
        if self.engines_only:
            return []
        recorders = [f"recorder-{number}" for number in range(1, self.recorders + 1)]
        apis = [f"api-{number}" for number in range(1, self.api + 1)]
        scaling = ["autoscaler-1"] if self.autoscale else []
        return ["sweeper-1", *recorders, *apis, "relay-1", "console-1", *scaling]

    def to_json(self) -> str:
        """Return it for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Shape":
        """Undo to_json."""
        return cls(**json.loads(text))
