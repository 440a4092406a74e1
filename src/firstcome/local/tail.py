"""The ends of log files, and what is added to them."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

POLL_SECONDS = 0.1
CHUNK_BYTES = 65_536


def last_lines(file: Path, lines: int) -> list[str]:
    """Return up to `lines` lines from the end; none if there is no file."""
    if lines <= 0 or not file.exists():
        return []
    with file.open("rb") as content:
        begin = content.seek(0, os.SEEK_END)
        tail = b""
        while begin > 0 and tail.count(b"\n") <= lines:
            step = min(CHUNK_BYTES, begin)
            begin = content.seek(begin - step)
            tail = content.read(step) + tail
    return tail.decode(errors="replace").splitlines()[-lines:]


def follow(files: list[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each whole line that is added from now on, with its file. Never ends; blocks."""
    followed = [Followed(file) for file in files]
    try:
        while True:
            for each in followed:
                for line in each.added():
                    yield each.file, line
            time.sleep(POLL_SECONDS)
    finally:
        for each in followed:
            each.close()


class Followed:
    """One log file, from its present end on."""

    def __init__(self, file: Path) -> None:
        """The file need not exist; then it is followed from its first line."""
        self.file = file
        self._open: BinaryIO | None = None
        self._rest = b""
        self._reopen()
        if self._open is not None:
            self._open.seek(0, os.SEEK_END)

    def added(self) -> list[str]:
        """Return the new whole lines; goes on with the new file after a rotation."""
        if self._open is None:
            self._reopen()
        if self._open is None:
            return []
        # Asked before the read: what is written before a rotation is read after it.
        rotated = self._is_rotated(self._open)
        self._rest += self._open.read()
        *whole, self._rest = self._rest.split(b"\n")
        if rotated:
            self.close()
        return [line.decode(errors="replace") for line in whole]

    def close(self) -> None:
        """Let go of the file."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _reopen(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._open = self.file.open("rb")

    def _is_rotated(self, opened: BinaryIO) -> bool:
        here = os.fstat(opened.fileno())
        try:
            there = self.file.stat()
        except FileNotFoundError:
            return True
        return here.st_ino != there.st_ino or there.st_size < opened.tell()
