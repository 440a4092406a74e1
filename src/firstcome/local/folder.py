"""The state folder of one local stack: where everything lies, and who holds it.

    <state>/settings.toml   addresses and secrets, read by every process and verb (0600)
    <state>/identity.json   what is made once and kept: passwords, keys, ports (0600)
    <state>/status.json     what the supervisor last saw (0600)
    <state>/wanted.json     how many recorders are wanted (0600)
    <state>/decision.json   what the autoscaler decided last; dry-run.json: what one would have
    <state>/run/            the supervisor's lock and the pids of its children
    <state>/logs/           one file per process
    <state>/postgres, redis, kafka-1, connect-1 ...   the engines' data

Whoever holds the lock is the stack's only supervisor; the kernel lets go of it when he dies.
"""

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any


class StackFolder:
    """Paths and small files of one stack. Making one touches nothing on disk."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist."""
        self.path = path.absolute()
        self.settings = self.path / "settings.toml"
        self.identity = self.path / "identity.json"
        self.status = self.path / "status.json"
        self.wanted = self.path / "wanted.json"
        self.decision = self.path / "decision.json"
        self.dry_run = self.path / "dry-run.json"
        self.run = self.path / "run"
        self.children = self.run / "children.json"
        self.logs = self.path / "logs"
        self._lock = self.run / "supervisor.lock"

    def create(self) -> None:
        """Make the folders; only their owner may look inside."""
        for folder in (self.path, self.run, self.logs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def log(self, name: str) -> Path:
        """Return the log file of the process `name`."""
        return self.logs / f"{name}.log"

    def lock(self) -> bool:
        """Become this stack's supervisor until this process ends; False if there is one."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        return True  # the descriptor stays open, and with it the lock

    def supervisor(self) -> int | None:
        """Return the pid of the living supervisor, or None."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            # Empty for the moment between taking the lock and writing the pid.
            return int(os.read(descriptor, 20) or b"0") or None
        finally:
            os.close(descriptor)

    def wipe(self) -> None:
        """Remove what a stack has put here, and the folder if nothing else is in it."""
        engines = [self.path / "postgres", self.path / "redis", self.path / "connect-1"]
        engines += [self.path / "prometheus", self.path / "alertmanager"]
        engines += self.path.glob("kafka-[1-9]")
        # New folders of a preparation that was cut short.
        engines += [self.path / "postgres.new"]
        for torn in self.path.glob("*.[0-9]*.new"):
            torn.unlink(missing_ok=True)
        for folder in (*engines, self.logs, self.run):
            shutil.rmtree(folder, ignore_errors=True)
        own = (self.settings, self.identity, self.status, self.wanted, self.decision, self.dry_run)
        for file in own:
            file.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def write_json(path: Path, document: Any) -> None:
    """Replace a file in one step, readable by its owner only."""
    write_private(path, json.dumps(document, indent=1) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    # Of this process alone: two may replace the same file at the same moment.
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def read_json(path: Path) -> Any:
    """Return the document, or None if there is none (or a torn one)."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
