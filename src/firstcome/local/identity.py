"""What a stack is made with once and keeps until it is wiped: passwords, keys, ports, brokers.

Ports are wishes: one that something else has taken by the next start is replaced.
"""

import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from firstcome.errors import Refused
from firstcome.local import kafka, ports
from firstcome.local.folder import StackFolder, read_json, write_json


def _key() -> str:
    return secrets.token_hex(32)


@dataclass
class Identity:
    """Secrets are made with the object; ports by `choose_ports`."""

    brokers: int = 1
    cluster_id: str = field(default_factory=kafka.new_cluster_id)
    postgres_password: str = field(default_factory=_key)
    redis_password: str = field(default_factory=_key)
    auth_secret: str = field(default_factory=_key)
    code_key: str = field(default_factory=_key)
    operator_key: str = field(default_factory=_key)
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: StackFolder, brokers: int | None = None) -> "Identity":
        """Return the folder's identity, else a fresh one. Raises Refused for other `brokers`."""
        kept = read_json(folder.identity)
        if kept is None:
            return cls(brokers=brokers or 1)
        identity = cls(**kept)
        if brokers not in (None, identity.brokers):
            raise Refused(
                f"the log in {folder.path} was made for {identity.brokers} broker(s), {brokers} "
                f"cannot serve it: nothing was changed. Use --brokers {identity.brokers}, another "
                "folder (FIRSTCOME_STATE), or `firstcome down --wipe`, which removes all data"
            )
        return identity

    def choose_ports(self, further: Iterable[str] = ()) -> None:
        """Reserve every port, as before where possible; the api prefers 8000, the console 8001.

        `further` names ports that only this run needs.
        """
        preferred = {
            "api": int(os.environ.get("FIRSTCOME_API__PORT") or 8000),
            "console": int(os.environ.get("FIRSTCOME_CONSOLE__PORT") or 8001),
        }
        names = ["postgres", "redis", *preferred]
        for number in range(1, self.brokers + 1):
            names += [f"kafka-{number}", f"kafka-{number}-controller"]
        for name in [*names, *further]:
            self.ports[name] = ports.reserve(self.ports.get(name) or preferred.get(name))

    def choose_port(self, name: str) -> None:
        """Reserve one port more, as before where possible; nothing happens if it is reserved.

        In a supervisor only: its reserved ports are those of one stack.
        """
        if not ports.is_reserved(kept := self.ports.get(name)):
            self.ports[name] = ports.reserve(kept)

    def save(self, folder: StackFolder) -> None:
        """Write it down, readable by its owner only."""
        write_json(folder.identity, asdict(self))
