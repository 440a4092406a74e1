"""A small disk for one engine: a tmpfs over its folder, that can be full and can grow.

Needs root. The engine must not run while it moves; its data go with it and are gone with it.
"""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHUNK = bytes(65_536)


class Disk:
    """One tmpfs at the place of a folder that exists already."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._megabytes = megabytes
        self._filler = folder / "filler"

    def move_in(self) -> None:
        """Mount it, with all that the folder holds."""
        saved = self.folder.with_name(self.folder.name + ".saved")
        self.folder.rename(saved)
        self.folder.mkdir(mode=0o700)
        _run("mount", "-t", "tmpfs", "-o", f"mode=0700,{self._size()}", "tmpfs", str(self.folder))
        # Rights and owners too: PostgreSQL looks at them.
        _run("cp", "-a", f"{saved}/.", str(self.folder))
        shutil.rmtree(saved)

    @contextmanager
    def full(self) -> Iterator[str]:
        """Leave no byte free until the end; lend the evidence."""
        try:
            yield self._fill()
        finally:
            self._filler.unlink()

    def _fill(self) -> str:
        written = 0
        try:
            with self._filler.open("wb", buffering=0) as filler:
                while True:
                    written += filler.write(CHUNK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        free = shutil.disk_usage(self.folder).free
        assert free == 0, f"{free} bytes are still free"
        return f"{self.folder.name}: disk of {self._megabytes} MB full, {written} bytes of filler"

    @contextmanager
    def almost_full(self, share: float) -> Iterator[str]:
        """Leave this share of it free until the end; lend the evidence."""
        left = int(shutil.disk_usage(self.folder).total * share)
        try:
            with self._filler.open("wb", buffering=0) as filler:
                while shutil.disk_usage(self.folder).free > left:
                    filler.write(CHUNK)
            yield f"{self.folder.name}: {shutil.disk_usage(self.folder).free} bytes free"
        finally:
            self._filler.unlink()

    def grow(self, megabytes: int) -> str:
        """Make it larger, as an operator would."""
        self._megabytes += megabytes
        _run("mount", "-o", f"remount,{self._size()}", str(self.folder))
        return f"{self.folder.name}: disk of {self._megabytes} MB now"

    def unmount(self) -> None:
        """Take it away with all that is on it. Repeatable."""
        if self.folder.is_mount():
            _run("umount", str(self.folder))

    def _size(self) -> str:
        return f"size={self._megabytes}m"


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
