"""What tests of the system ask an engine itself: its log, its state, one command of Redis."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

from firstcome.bench.stack import RunningStack
from firstcome.drill.eventually import eventually
from firstcome.drill.processes import Processes

READY_SECONDS = 60.0


class EngineLog:
    """The lines that a process has written since this was made."""

    def __init__(self, state: Path, name: str) -> None:
        self._file = state / "logs" / f"{name}.log"
        self._offset = self._file.stat().st_size

    def said(self, words: str, seconds: float = 20.0) -> str:
        """Wait for words in a line; return the line: the evidence."""

        def look() -> str:
            with self._file.open("rb") as file:
                file.seek(self._offset)
                lines = file.read().decode(errors="replace").splitlines()
            return next((line for line in lines if words in line), "")

        return f"{self._file.stem} said: {eventually(f'log says {words}', look, bool, seconds)}"


def ask_redis(stack: RunningStack, *words: str) -> str:
    """Return what Redis answers to one command."""
    address = urlsplit(stack.urls["redis"])
    with socket.create_connection((address.hostname or "", address.port or 0), 5) as connection:
        connection.sendall(f"AUTH {address.password}\r\n{' '.join(words)}\r\nQUIT\r\n".encode())
        replies = b""
        while some := connection.recv(65_536):
            replies += some
    return replies.decode(errors="replace")


def recover(faults: Processes, name: str) -> None:
    """Wait until a process works that has ended itself; its restarts count as explained."""
    eventually(
        f"{name} works",
        lambda: faults.named(name),
        lambda each: each["state"] == "ready",
        READY_SECONDS,
    )
    restarts = faults.restarts_seen()[name]
    faults.note(f"{name} works again, {restarts - faults.restarts[name]} restarts")
    faults.restarts[name] = restarts
