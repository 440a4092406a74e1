"""Jars of Kafka and Kafka Connect: fetched once, each checked against its pinned sha256.

All stacks share them, in $FIRSTCOME_CACHE, else $XDG_CACHE_HOME/firstcome, else
~/.cache/firstcome. Each library is fetched when it is first wanted. A folder is complete or
absent: it gets its name only after the last check.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from firstcome.errors import FirstcomeError, Unavailable

KAFKA_VERSION = "4.3.1"
REPOSITORY = "https://repo.maven.apache.org/maven2"
THREADS = 6
SILENT_SECONDS = 20.0  # of the repository, before and within an answer; a slow line still sends


class JarsUnavailable(Unavailable):
    """A jar could not be fetched; the next try starts where this one failed."""


class JarForged(FirstcomeError):
    """A jar is not the one that was pinned."""


@dataclass(frozen=True)
class Jar:
    """One line of a lock file: Maven coordinates and the file's sha256."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Its name on the class path."""
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True)
class Library:
    """The jars of one lock file, which stand on a class path together."""

    name: str

    def locked(self) -> list[Jar]:
        """Return every pinned jar, in the order of the class path."""
        text = (files("firstcome.local") / f"{self.name}.lock").read_text()
        return [Jar(*line.split()) for line in text.splitlines() if line.strip()]

    def pin(self) -> str:
        """Return a short name of exactly these jars."""
        pins = "".join(jar.sha256 for jar in self.locked())
        return hashlib.sha256(pins.encode()).hexdigest()[:12]

    def cache_folder(self) -> Path:
        """Return where its files are kept between stacks; made if need be."""
        home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        root = Path(os.environ.get("FIRSTCOME_CACHE") or Path(home) / "firstcome")
        folder = root.absolute() / f"{self.name}-{KAFKA_VERSION}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def class_path(self) -> str:
        """Return the jars' paths, joined; they may not have been fetched yet."""
        libs = self._folder()
        return ":".join(str(libs / jar.file_name) for jar in self.locked())

    def fetch(self) -> None:
        """Fetch what is missing. Blocks, seconds at first. Raises JarsUnavailable, JarForged."""
        libs = self._folder()
        if libs.exists():
            return
        with only_one(self.cache_folder() / "fetch.lock"):
            if not libs.exists():
                _fetch_all(self.locked(), libs)

    def _folder(self) -> Path:
        # A changed lock is another folder: nothing is ever replaced under a running process.
        return self.cache_folder() / f"libs-{self.pin()}"


KAFKA = Library("kafka")
# What Kafka Connect and its connector for PostgreSQL need beyond Kafka's own jars.
CONNECT = Library("connect")


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait for one's turn among processes that make the same thing."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_all(jars: list[Jar], libs: Path) -> None:
    new = libs.with_name(libs.name + ".new")
    new.mkdir(exist_ok=True)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda jar: _fetch(jar, new), jars))
    new.rename(libs)


def _fetch(jar: Jar, folder: Path) -> None:
    from maven_artifact.artifact import Artifact  # only where a stack runs
    from maven_artifact.downloader import Downloader

    downloader = Downloader(base=REPOSITORY)
    # The package waits for ever, and nobody waits longer for a stack to start.
    ask = downloader.requestor.request
    downloader.requestor.request = partial(ask, timeout=SILENT_SECONDS)
    file = folder / jar.file_name
    if file.exists() and _sha256(file) == jar.sha256:
        return
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        downloader.download(Artifact(jar.group, jar.artifact, jar.version), filename=str(part))
    except Exception as error:  # the package raises its own and requests' errors
        raise JarsUnavailable(
            f"{jar.file_name} could not be fetched from the Maven repository ({_said(error)}): "
            "check the network and start again; jars fetched so far are kept"
        ) from error
    if (found := _sha256(part)) != jar.sha256:
        part.unlink()
        raise JarForged(
            f"{jar.file_name} has sha256 {found}, but {jar.sha256} is pinned: it was thrown away; "
            "something between here and the Maven repository changes files"
        )
    part.replace(file)


def _said(error: Exception) -> str:
    return str(getattr(error, "msg", error)).strip().replace("\n", " ")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
