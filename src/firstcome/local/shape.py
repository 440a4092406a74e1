"""What a stack consists of: how many of each process, and whose Kafka."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Shape:
    """What `firstcome up` was asked for."""

    api: int = 1
    recorders: int = 1
    brokers: int = 1
    auth: Literal["jwt", "gateway"] = "jwt"
    broker: Literal["kafka", "external"] = "kafka"
    engines_only: bool = False
    # For fault drills: ports before engines (see links.py), and variables by role of process.
    links: dict[str, int] = field(default_factory=dict)
    environment: dict[str, dict[str, str]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Shape":
        """Undo to_json."""
        return cls(**json.loads(text))
